/* Sleeps, and buries the dead: process 1 of every node and of every pod. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int number) {
	(void)number;
	_exit(0);
}

static void bury(int number) {
	(void)number;
	while (waitpid(-1, 0, WNOHANG) > 0) {
	}
}

int main(void) {
	signal(SIGINT, leave);
	signal(SIGTERM, leave);
	signal(SIGCHLD, bury);
	for (;;)
		pause();
}
