package main

// usage is what --help prints. The commonest lines come first.
const usage = `lockstep keeps a directory in step with another one, or with an rsync daemon.

  lockstep --watch --delete /abc/ /mnt/mirror/
  lockstep --watch --delete --password-file=/etc/server.pass /abc/ backuper@host::wwwroot/
  lockstep -n -i --delete /abc/ rsync://backuper@host:873/wwwroot/     what would go, once

Usage: lockstep [OPTION…] SRC DST

SRC is a local directory or file; of a directory with a trailing slash the content is
sent, without the directory itself, as rsync does. DST is a local path,
[user@]host::module/path or rsync://[user@]host[:port]/module/path; of a path that is
not there the last directory is made. Without --watch lockstep ends after one push.
Options have rsync's names and meanings; what rsync has beyond this list is refused.

Watching
      --watch             push, then keep in step until SIGINT or SIGTERM
      --settle=TIME       how long a path must be quiet before it is sent (default 5ms)
      --max-delay=TIME    how long a path that is never quiet may wait (default 500ms)
      --grace=TIME        how long a stop may take to send what is pending (default 10s)
      --no-tune           leave the kernel's inotify limits alone
      --log-level=LEVEL   debug, info, warn or error (default info)
      --log-format=FORM   console or json (default console)

What is sent
  -a, --archive           -rlptgoD: the default, of which --no-OPTION takes a part away
  -r, --recursive         directories with their content           --no-r, --no-recursive
  -l, --links             symlinks as symlinks                     --no-l, --no-links
  -p, --perms             permissions                              --no-p, --no-perms
  -t, --times             modification times, to the nanosecond    --no-t, --no-times
  -g, --group             groups                                   --no-g, --no-group
  -o, --owner             owners (super-user only)                 --no-o, --no-owner
  -D                      --devices, --specials (FIFOs, sockets)   --no-D
      --numeric-ids       owners and groups by number, not by name
  -x, --one-file-system   stay on the source's file system
      --exclude=PATTERN   leave out what matches; --exclude-from=FILE reads patterns
      --include=PATTERN   do not leave out what matches; --include-from=FILE
  -f, --filter=RULE       a filter rule, as "- *.tmp"; the first rule that matches counts
  -c, --checksum          compare by checksum, not by size and time
  -W, --whole-file        send whole files, no deltas (--no-W)
  -n, --dry-run           show what would be done, do nothing

What is deleted
      --delete            delete from DST what is not in SRC
      --max-delete=N      delete no more than N names in one push
      --allow-empty       let an empty SRC empty DST

What is printed
  -v, --verbose           names of what is sent or deleted, and a summary
  -i, --itemize-changes   a line for each change, as rsync's
  -q, --quiet             errors only; with --watch, warnings and errors
      --stats             figures at the end
      --progress          a progress bar (on a terminal; else a line every 5 s)

Daemons
      --password-file=F   the password is the first line of F (or set RSYNC_PASSWORD)
      --port=PORT         where DST names none (default 873)
      --timeout=SECONDS   give up when nothing moves for so long (0 is never, the default;
                          with --watch 60)
      --contimeout=SECONDS
                          give up connecting after so long (0 is never, the default;
                          with --watch 20)

  -h, --help              this text
  -V, --version           the version

Exit codes, as in rsync(1)
   0  everything arrived (with --watch: it was told to stop)
   1  usage: unknown or conflicting options, a password file that others can read,
      or what the other side calls so: a module that is read only
   2  the other side's protocol is too old
   3  an empty source was to empty the target
   4  the other side cannot do what was asked
   5  the daemon refused: unknown module, wrong password, too many connections
  10  no connection
  11  the target, or a file of rules, could not be opened
  12  the connection broke, or what came over it was wrong
  20  a signal ended it (with --watch: the second one)
  23  some files could not be brought over
  24  some files vanished before they could be sent
  25  --max-delete stopped deletions
  30  nothing moved for --timeout
  35  no connection within --contimeout
`
