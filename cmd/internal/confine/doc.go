// Package confine takes from the process what it does not need.
//
// In go the needs of a run, which follow from its settings; out comes a process that can do little
// beyond them, and a Report that says what was taken and what is lost by it. It is for the whole
// process, all of its threads, and for ever: there is no way back.
//
//  1. Decide turns needs into a Plan. It is a pure function: no file is read, nothing is called.
//  2. Apply carries it out, in this order: no core with a password in it, the user, the
//     capabilities, no_new_privs, landlock, seccomp.
//  3. With Auto nothing is taken that could stop something which works without: what is lost is
//     named for --user alone. Strict takes more, and fails where the kernel cannot.
//
// Landlock ties a rule to a directory, not to its name: what is mounted there later is another
// directory. A source that was unmounted comes back as one, and has to be readable then, so
// Auto leaves reading alone, and writing too where the target is a local directory. Seccomp
// denies what no pusher needs, rather than allowing a list that the next Go runtime breaks.
//
// The facts are from capabilities(7), landlock(7), seccomp(2), and Linux 6.18 security/landlock/fs.c.
package confine
