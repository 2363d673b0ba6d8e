package options

import (
	"slices"
	"strings"
)

// RsyncOption says whether rsync has an option that lockstep has not, also in its "--no-"
// form, and why lockstep has not.
func RsyncOption(name string) (why string, ok bool) {
	rest, negated := strings.CutPrefix(name, "--no-")
	for _, group := range unsupported {
		for option := range strings.FieldsSeq(group.options) {
			if option == name || negated && len(rest) > 0 && slices.Contains([]string{"-" + rest, "--" + rest}, option) {
				return group.why, true
			}
		}
	}
	return "", false
}

// unsupported are the options of rsync 3.5.0 that lockstep lacks. docs/rsync-options.md says
// more; a test compares the two, and both with rsync --help.
var unsupported = []struct{ options, why string }{
	{"--iconv", "names are bytes to lockstep, and are sent as they are"},
	{"--info --debug --stderr --outbuf --8-bit-output -8 --out-format --log-format --log-file-format",
		"what is printed is chosen with -v, -i, -q, --stats and --progress, what --watch logs with --log-level and --log-format"},
	{"--motd", "-q silences a daemon's greeting, with all else"},
	{"--dirs -d --old-dirs --old-d --list-only", "directories are sent with their content, or by name with --files-from"},
	{"--remove-source-files", "lockstep never changes the source"},
	{"--ignore-missing-args --delete-missing-args", "there is one source; to --watch a path that went away is news, not an error"},
	{"--compare-dest --copy-dest --link-dest", "there is one target, which becomes like the source"},
	{"--copy-devices --write-devices", "devices are made, not read or written"},
	{"--drop-D", "it is --no-D for the receiver: write -M--drop-D, or --no-D"},
	{"--preallocate", "files are written with the length they get, or with holes (-S)"},
	{"--open-noatime", "files are opened as everybody opens them: mount the source with noatime"},
	{"--super", "what only the super-user may do is tried when lockstep is the super-user; for the other side write -M--super"},
	{"--copy-as", "lockstep writes as who it is: start it as that user"},
	{"--insecure-links --confine-root", "below the target no symlink is ever followed, but those of -K"},
	{"--checksum-choice --cc --checksum-seed", "the best checksum that both sides have is agreed upon"},
	{"--compress-threads --zt", "lockstep compresses in one thread, beside the one that reads"},
	{"--old-args --secluded-args --protect-args -s", "arguments reach the other side as they are, always"},
	{"--trust-sender", "lockstep is the sender"},
	{"--blocking-io", "the remote shell is read and written as it comes"},
	{"--early-input", "daemons are given a password and no more"},
	{"--max-alloc --qsort", "memory is used as needed, within fixed bounds for all that the other side says"},
	{"--stop-after --stop-at --time-limit", "stop it with SIGTERM, as timeout(1) and systemd do: what is under way is ended cleanly"},
	{"--write-batch --only-write-batch --read-batch", "changes go to a target, not into a file"},
	{"--config --detach --no-detach --server --sender", "lockstep pushes; the other side is rsync's"},
}
