/* A machine made as main() makes it, of a command line, for tests. */
#ifndef TESTS_LIB_CLI_VM_H
#define TESTS_LIB_CLI_VM_H

#include "system/machine.h"

/* @line: options as typed in a shell. Machine lock held; stopped. NULL with
 * @errp set where main() would say so and end. */
Machine *cvm_new(const char *line, GError **errp);
void cvm_free(Machine *m);
/* Lets it run for about @us of host time, then stops it. */
void cvm_run(Machine *m, unsigned us);

#endif
