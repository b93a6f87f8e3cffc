#include "base/background.h"

#include <sys/resource.h>
#include <unistd.h>

#define NICE 10

void background_enter(void)
{
	/* On Linux a thread has a priority of its own. Giving way needs no rights, and a
	 * system that refuses even so is no worse off than before. */
	(void)!setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
}
