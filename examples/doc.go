// Package examples is the setting of the classic inotifywait-and-rsync guide with lockstep in
// place of the loop, ready to copy: the server's rsyncd.conf and secrets, the client's password
// file, the line itself, an rc.local that starts it, and the kernel limits as a sysctl.d file.
// README.md says which file goes where.
//
// There is no code here but the tests, which start a stock rsync daemon from these very files and
// run the line against it, so that what is copied is what works.
package examples
