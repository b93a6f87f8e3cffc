/* background.h - threads that work for people who look on, beside those that serve clients.
 *
 * Where there are processors enough it changes nothing. Where there are not, such a thread
 * is taken off its processor as soon as a client's request comes, and has a tenth of it
 * under full load: enough to go on, too little to be felt. */
#pragma once

/* The calling thread, and those that it starts later, from now on and for good. */
void background_enter(void);
