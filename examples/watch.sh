#!/bin/sh
# Use this in place of the loop "inotifywait -m ... | while read ...; do rsync ...; done": by hand to
# try it, from a service manager to keep it. It stays in the foreground until SIGINT or SIGTERM.
exec lockstep --watch --delete --password-file=/etc/server.pass /abc/ backuper@host::wwwroot/
