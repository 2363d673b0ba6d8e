// Package daemon is how the program is started and stopped by others: systemd, or a script at boot.
//
//  1. Detach starts the program again, in a session of its own and with nothing of its terminal. The parent waits until that one
//     is ready, or has failed, and then ends as it did: with its words and exit code.
//  2. LockPIDFile holds a file with the process's number, locked for as long as it runs: the lock says whether somebody runs, not
//     the number, so what a crash leaves behind is no obstacle.
//  3. Ready, and a Notifier, tell systemd what goes on (sd_notify(3)), and feed its watchdog while there is progress.
//
// What was not started by systemd, or not by Detach, has nobody to tell: nothing happens then.
package daemon
