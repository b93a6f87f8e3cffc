/* background.h - threads that work for people who look on, or for later, beside those that
 * serve clients.
 *
 * Where there are processors enough it changes nothing. Where there are not, clients come
 * first. Priorities alone do not see to that: Linux lets whoever runs go on for a slice, which
 * is longer than a whole request. */
#pragma once

/* The calling thread, and those that it starts later, have a tenth of a processor under full
 * load from now on and for good: enough to go on, too little to be felt. */
void background_enter(void);

/* The calling thread, and those that it starts later, work in small steps for good. Its share
 * of the processor stays, in turns that are longer and fewer: when it has given way, others
 * go first for some milliseconds, also in the middle of a system call. */
void background_enter_steps(void);
/* The calling thread's work goes in small steps from now on, between which whoever waits for
 * its processor goes first. After 10 ms it goes on to its end. */
void background_begin_steps(void);
/* Between two steps, of a microsecond or two each. */
void background_step(void);
/* Between two larger ones. */
void background_give_way(void);
/* Before a long one, which cannot be cut: who wakes up in the middle of it goes first. */
void background_stand_back(void);
