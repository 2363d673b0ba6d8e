// Package rsh runs commands on another machine through a remote shell, ssh as a rule.
//
// In goes --rsh as rsync has it and who is meant; out come connections over the command's standard
// input and output, with deadlines, and what the shell said on its standard error. The system's
// ssh is used, so that its configuration, agent, known hosts and jump hosts hold.
//
//  1. New splits --rsh into words; Start runs the shell with a command.
//  2. With Keep, OpenSSH gets a master connection of our own, with its socket in a private
//     directory; each command is a channel on it. It is made when it is needed first and made
//     again after it died; a command that finds none connects by itself.
//  3. With Keep nothing can ask for a password: OpenSSH is told BatchMode, and no process
//     has a terminal.
//  4. Conn.End closes the pipes, waits for the process, ends it where it does not end by itself, and
//     reaps it. Close does so with the master.
//  5. The directories of processes that were killed are swept when the first master of a Shell is
//     made; Abandon is for one that ends at once.
//
// A process ends with ours, however that ends: the kernel signals it (prctl(2), PR_SET_PDEATHSIG).
package rsh
