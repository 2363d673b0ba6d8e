package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// explain says what is wrong with an option in its user's words. pflag's own speak of
// flags and arguments, and of Go's functions.
func explain(err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.Is(err, pflag.ErrHelp): // a -h that does not stand alone
		return unknownOption("-h")
	case errors.As(err, &unknown):
		dashes := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		return unknownOption(dashes + unknown.GetSpecifiedName())
	case errors.As(err, &missing):
		return fmt.Errorf("%s: a value is missing", written(missing.GetFlag()))
	case errors.As(err, &invalid):
		name, cause := written(invalid.GetFlag()), invalid.Unwrap()
		if strings.HasPrefix(cause.Error(), name+": ") {
			return cause // of a filter rule: it knows where it stands
		}
		return fmt.Errorf("%s: %w", name, cause)
	}
	return err
}

// written is how an option is written.
func written(f *pflag.Flag) string {
	if strings.HasPrefix(f.Name, nameless) {
		return "-" + f.Shorthand
	}
	return "--" + f.Name
}

func unknownOption(name string) error {
	if rsyncOption(name) {
		return fmt.Errorf("option %s of rsync is not supported by this version of lockstep", name)
	}
	return fmt.Errorf("unknown option %q", name)
}

// rsyncOption says whether rsync has an option that we do not, also in its "--no-" form.
func rsyncOption(name string) bool {
	options := strings.Fields(rsyncOptions)
	if slices.Contains(options, name) {
		return true
	}
	rest, ok := strings.CutPrefix(name, "--no-")
	return ok && (slices.Contains(options, "-"+rest) || slices.Contains(options, "--"+rest))
}

// rsyncOptions are the options of rsync 3.5.0 that lockstep lacks (rsync --help, and the
// "--no-" forms of those that both have).
const rsyncOptions = `
	--8-bit-output -8 --acls -A --address --append --append-verify --atimes -U --backup -b --backup-dir
	--block-size -B --blocking-io --bwlimit --cc --checksum-choice --checksum-seed --chmod --chown
	--compare-dest --compress -z --compress-choice --compress-level --compress-threads --config --confine-root
	--copy-as --copy-dest --copy-devices --copy-dirlinks -k --copy-links -L --copy-unsafe-links --crtimes -N
	--cvs-exclude -C --daemon --debug --delay-updates --delete-after --delete-before --delete-delay
	--delete-during --delete-excluded --delete-missing-args --dirs -d --drop-D --early-input --executability -E
	--existing -F --fake-super --files-from --force --from0 -0 --fsync --fuzzy -y --groupmap --hard-links -H
	--human-readable -h --iconv --ignore-errors --ignore-existing --ignore-missing-args --ignore-non-existing
	--ignore-times -I --implied-dirs --i-r --inc-recursive --info --inplace --insecure-links --ipv4 -4 --ipv6 -6
	--keep-dirlinks -K --link-dest --list-only --log-file --log-file-format --max-alloc --max-size --min-size
	--mkpath --modify-window -@ --munge-links --no-motd --no-checksum --no-c --no-contimeout --no-i
	--no-itemize-changes --no-one-file-system --no-progress --no-timeout --no-v --no-verbose --no-x
	--old-args --old-d --old-dirs --omit-dir-times -O --omit-link-times -J --only-write-batch
	--open-noatime --out-format --outbuf --partial -P --partial-dir --preallocate --protect-args --protocol
	--prune-empty-dirs -m --read-batch --relative -R --remote-option -M --remove-source-files --rsh -e
	--rsync-path --safe-links --secluded-args -s --size-only --skip-compress --sockopts --sparse -S --stderr
	--stop-after --stop-at --suffix --super --temp-dir -T --trust-sender --update -u --usermap
	--write-batch --write-devices --xattrs -X --zc --zl --zt`
