package main

// usage is what --help prints. The commonest lines come first.
const usage = `lockstep keeps a directory in step with another one, here or on another machine.

  lockstep -HAX --watch --delete /abc/ user@host:/mirror/
  lockstep --watch --delete --password-file=/etc/server.pass /abc/ backuper@host::wwwroot/
  lockstep --watch --delete --target=u@b::www/ /abc/ u@a::www/         two mirrors
  lockstep -n -i --delete /abc/ /mnt/mirror/                  what would go, once

Usage: lockstep [OPTION…] SRC DST
       lockstep check-path [OPTION…] [SRC] PATH…     does PATH take part, and why?
       lockstep status, failed, queue, flush, pause, resume, resync, release, reload,
                log-level, stop     ask a lockstep that is running, or tell it what to do
       lockstep agent [-c FILE]    run the service: many syncs from one config file
       lockstep check [-c FILE] [--offline]    will the config of a service do?
       lockstep config [-c FILE] [SYNC]    what it comes to; lockstep schema, for editors
       lockstep units [-c FILE] DIR    for systemd: what a config needs mounted
       lockstep sysctl [OPTION…] [DIR…]    the kernel's limits on watching: show, raise
       lockstep events [OPTION…] PATH…     tell what happens to files, as inotifywait does

SRC is a local directory or file; of a directory with a trailing slash the content is
sent, without the directory itself, as rsync does. DST is a local path; [user@]host:path,
reached by ssh; or [user@]host::module/path or rsync://[user@]host[:port]/module/path, an
rsync daemon. Without --watch lockstep ends after one push. Options have rsync's names and
meanings, and so do their --no-OPTION forms; what rsync has beyond this list is refused.
A SRC that is named like a verb is written ./events; lockstep events --help tells of it.

Watching
      --watch             push, then keep in step until SIGINT or SIGTERM
      --target=DST        a further target of SRC, with a queue of its own (repeatable)
      --settle=TIME       how long a path must be quiet before it is sent (default 5ms)
      --max-delay=TIME    how long a path that is never quiet may wait (default 500ms)
                          A file that is open for writing is sent when it is closed, or then
      --quiet=PATTERN=TIME[,MOST]
                          what matches must have been quiet for TIME, and waits for MOST at
                          the longest (default four times TIME), as '*.log=30s,5m'
      --watch-backend=B   inotify (a watch for each directory), fanotify (one mark for a
                          file system; root only), or auto: fanotify where a probe succeeds
      --poll-interval=TIME
                          how often what cannot be watched is compared (default 10s)
      --index=off         no index of the tree, which takes 25 to 30 bytes a file: all is
                          compared with DST when events are lost
      --grace=TIME        how long a stop may take to send what is pending (default 10s)
      --state-dir=DIR     where is kept what DST was brought to: a restart sends what
                          differs and asks DST nothing (default /var/lib/lockstep; of
                          others than root $XDG_STATE_HOME/lockstep; none keeps nothing)
      --verify-every=TIME compare with DST itself every so often, as 24h, and mend what
                          others changed there, a little at a time;
                          --verify-checksum: by content
      --control=SOCKET    serve this control socket too: lockstep status --control=SOCKET
      --no-tune           leave the kernel's inotify limits alone
      --no-prewarm        open a connection to a daemon when it is needed, not ahead
      --user=NAME[:GROUP]
                          become NAME, keeping of root's capabilities what is needed
      --confine=HOW       auto: take away what lockstep does not need, where it cannot hurt;
                          strict: more, with losses that are told; off (docs/security.md)
      --log-level=LEVEL   debug, info, warn or error (default info)
      --log-format=FORM   console, json or journal (default journal where systemd's journal
                          is standard error, else console)
      --log-file=FILE     log there, not to standard error; SIGUSR1 opens FILE again
      --daemon            return when SRC is watched, and go on in the background
      --pid-file=FILE     hold FILE, with the process's number, as long as it runs

What takes part
  -a, --archive           -rlptgoD: the default, of which --no-OPTION takes a part away
  -r, --recursive         directories with their content
  -l, --links             symlinks as symlinks
  -L, --copy-links        what they point to; -k, --copy-dirlinks: those to directories;
                          --copy-unsafe-links: those that lead out of SRC
      --safe-links        leave out those that lead out of SRC
      --munge-links       undo what a daemon's "munge symlinks" did to those of SRC
  -D                      --devices, --specials (FIFOs, sockets)
  -R, --relative          with the path as written; --no-implied-dirs
      --files-from=FILE   only the names in FILE; -0, --from0: they end with a NUL
  -x, --one-file-system   stay on the source's file system
  -m, --prune-empty-dirs  no directories without content
      --max-size=SIZE     no larger files (1.5M, 20KB); --min-size=SIZE
      --exclude=PATTERN   leave out what matches; --exclude-from=FILE reads patterns
      --include=PATTERN   do not leave out what matches; --include-from=FILE
  -f, --filter=RULE       a filter rule, as "- *.tmp"; the first rule that matches counts
  -F                      rules from the files .rsync-filter of directories ("dir-merge
                          /.rsync-filter"); a second -F leaves out these files
  -C, --cvs-exclude       leave out what CVS does, and what files .cvsignore say

What is kept of it
  -p --perms, -t --times, -g --group, -o --owner (parts of -a), -E --executability
  -H, --hard-links        names of one file stay names of one file
  -A, --acls              ACLs; -X, --xattrs: extended attributes
  -U, --atimes            times of access; -N, --crtimes: of creation
  -O, --omit-dir-times    no times of directories; -J, --omit-link-times
      --numeric-ids       owners and groups by number, not by name
      --chown=USER:GROUP  give all to them; --usermap=LIST, --groupmap=LIST: some
      --chmod=CHMOD       change permissions, as D755,F644 or go-w
      --fake-super        keep owners, devices and the like in extended attributes

Which files are sent
  -c, --checksum          compare by checksum, not by size and time; --size-only
  -I, --ignore-times      compare all by content
  -@, --modify-window=N   times may differ by N seconds (default -1: by nothing)
  -u, --update            no file that is newer on DST
      --existing, --ignore-non-existing, --ignore-existing
  -n, --dry-run           show what would be done, do nothing

How they are written
  -W, --whole-file        send whole files, no deltas; -B, --block-size=SIZE
  -S, --sparse            write holes for zeros
      --inplace           into the file itself; --append, --append-verify: at its end
  -b, --backup            keep what is replaced or deleted; --backup-dir=DIR, --suffix=S.
                          In DIR %Y %m %d %H %M %S %j are the time of each push
  -P                      --partial (keep half a file for the next run) --progress
      --partial-dir=DIR   keep it there; -T, --temp-dir=DIR: write there
      --delay-updates     put all in place at the end
      --fsync             wait until it is on the disk
  -K, --keep-dirlinks     a symlink to a directory on DST is a directory
  -y, --fuzzy             look for a similar file to start from
      --mkpath            make all of DST's path

What is deleted
      --delete            delete from DST what is not in SRC; --del, --delete-before,
                          --delete-during, --delete-delay, --delete-after say when
      --delete-excluded   also what the rules leave out
      --max-delete=N      delete no more than N names; with --watch in any hour, where N
                          may be a part, as 5%, and more is held until lockstep release
      --delete-delay=TIME with --watch delete what has been gone for TIME
      --force             delete a directory where a file is to be, whatever is in it
      --ignore-errors     delete even if something could not be read
      --allow-empty       let an empty SRC empty DST
      --delete-unmounted  delete what was on a file system that was unmounted below SRC
      --marker=FILE       push only while FILE, a name below SRC, is there
      --new-source        take SRC as it is now, although another directory stood there

What is printed
  -v, --verbose           names of what is sent or deleted, and a summary
  -i, --itemize-changes   a line for each change, as rsync's
  -q, --quiet             errors only; with --watch, warnings and errors
      --stats             figures at the end; -h, --human-readable: with units
      --progress          a progress bar (on a terminal; else a line every 5 s)

The wire
  -e, --rsh=COMMAND       the remote shell (default ssh, or RSYNC_RSH)
      --rsync-path=PROG   rsync there; -M, --remote-option=OPT: an option for it alone
      --password-file=F   a daemon's password is the first line of F (or set RSYNC_PASSWORD)
      --port=PORT         a daemon's, where DST names none (default 873)
  -z, --compress          compress; --compress-choice=zstd, lz4, zlibx, zlib or none (also
                          --zc=…, --new-compress, --old-compress); --compress-level=N (or
                          --zl=N); --skip-compress=LIST of suffixes, as gz/jpg
      --bwlimit=RATE      KiB a second, or 20m
      --timeout=SECONDS   give up when nothing moves for so long (0 is never, the default;
                          with --watch 60)
      --contimeout=SECONDS
                          give up connecting after so long (0 is never, the default;
                          with --watch 20)
  -4, --ipv4; -6, --ipv6; --address=ADDRESS to connect from; --sockopts=LIST; --protocol=N

  -h, --help              this text (-h on its own)
  -V, --version           the version

Exit codes, as in rsync(1)
   0  everything arrived (with --watch: it was told to stop)
   1  usage: unknown or conflicting options, a password file that others can read,
      or what the other side calls so: a module that is read only
   2  the other side's protocol is too old
   3  an empty source was to empty the target
   4  what was asked cannot be done, here or on the other side
   5  the daemon refused: unknown module, wrong password, too many connections
  10  no connection
  11  the target, or a file of rules, could not be opened; another sync writes there
  12  the connection broke, or what came over it was wrong
  14  the remote shell could not be started
  20  a signal ended it (with --watch: the second one)
  23  some files could not be brought over
  24  some files vanished before they could be sent
  25  --max-delete stopped deletions
  30  nothing moved for --timeout
  35  no connection within --contimeout
 127  no rsync was found behind the remote shell
 255  ssh failed: no connection, a key that was refused
`
