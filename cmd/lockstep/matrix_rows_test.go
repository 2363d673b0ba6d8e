package main

import "slices"

// row is one command line of the option matrix.
type row struct {
	args string // between blanks, as rsync is given them
	// source and target within the sandbox; "" is src/ and dst/.
	source, target string
	on             string // the targets it is for: "" is all, else some of "local daemon ssh"
	clash          bool   // the target has a full directory where the source has a file
	// unseen says why the result is the same as without the options; "" asks for a difference,
	// without which the row would hold nothing.
	unseen string
	// code is what lockstep ends with where rsync ends otherwise, and but are paths that differ,
	// by kind of target: deliberately, and why.
	code map[string]int
	but  map[string][]string
	why  string
}

// parted are names that are one file on the target and two on the source.
var parted = local("hard/apart-b", "hard/kept-b")

func local(paths ...string) map[string][]string { return map[string][]string{"local": paths} }

// writtenThrough is what may differ where rsync writes into dir by way of a symlink: when it
// does so decides what time dir is left with.
var writtenThrough = map[string][]string{"local": {"kept-dir", "dir", "dir/file", "types/dir-for-file"}, "daemon": {"dir"}, "ssh": {"dir"}}

// throughKept is what may differ with -K: a file below the symlink that arrives late, when rsync's generator
// is done with dir, leaves dir with the time of its arrival, and an early one with the source's.
var throughKept = map[string][]string{"local": {"kept-dir", "dir"}, "daemon": {"dir"}, "ssh": {"dir"}}

const (
	parts   = "names that lockstep knows nothing of keep their attributes: what is not linked with -H is parted"
	through = "rsync writes through the symlink where a directory should be, and gives what is no directory a directory's time"
	ownLink = "rsync gives the directory's time to the symlink that stands for it"
	// rsync 3.5.0 generator.c, recv_generator: dest_mode is asked before the old kind is cleared away.
	otherKind = "what takes the place of another kind is new, and has the source's permissions; rsync gives it those of what stood there"
	linksTo   = "rsync links the others to the name that is up to date; lockstep writes the file, and keeps what each name was"
	readEarly = "a directory makes way for a file, and for it rsync reads the old rule files above: a file that those name it does not look for again"
	inherits  = "what rsync deletes late goes without the rules of the directories above; lockstep keeps what they protect"
	noCode    = "the daemon does not tell rsync"
)

// matrix is each option alone and in combinations that people use.
var matrix = slices.Concat(matrixAlone(), matrixWire(), matrixTogether())

const (
	wireOnly  = "it changes what goes over the wire, or how"
	sameStart = "it matters when something fails or moves on meanwhile"
)

func matrixAlone() []row {
	return []row{
		{args: "-a", unseen: "this is what others are compared with"},
		{args: "-a", source: "src"},
		{args: "-r"},
		{args: "-rlt"},
		{args: "-a --no-p", but: local("types/fifo-for-file"), why: otherKind},
		{args: "-a --no-D"},
		{args: "-a --no-links"},
		// What is kept.
		{args: "-aH"},
		{args: "-aA"},
		{args: "-aX"},
		{args: "-aU"},
		{args: "-a --no-p -E", but: local("types/fifo-for-file"), why: otherKind},
		{args: "-aO"},
		{args: "-aJ"},
		{args: "-a --numeric-ids", unseen: "source and target know the same names"},
		{args: "-a --usermap=0:1,daemon:2,*:12345 --groupmap=:1,0-5:99", but: parted, why: parts},
		{args: "-a --numeric-ids --usermap=1-5:7,*:8", but: parted, why: parts},
		{args: "-a --chown=daemon:bin", but: parted, why: parts},
		{args: "-a --chown=:12", but: parted, why: parts},
		{args: "-a --chmod=D2755,F640", but: parted, why: parts},
		{args: "-a --chmod=ug+w,Fo-rwx --chmod=Da+x,g=u", but: parted, why: parts},
		{args: "-r --chmod=a-w"},
		{args: "-aX --fake-super"},
		{args: "-a --fake-super"},
		// What takes part.
		{args: "-aL"},
		{args: "-a --copy-unsafe-links"},
		{args: "-a --safe-links"},
		{args: "-ak"},
		{args: "-aK", but: throughKept, why: ownLink},
		{args: "-a --munge-links"},
		{args: "-aR", source: "src/dir/deep/"},
		{args: "-aR", source: "src/dir/deep/file"},
		{args: "-aR", source: "src/./dir/deep/"},
		{args: "-aR --no-implied-dirs", source: "src/dir/deep/"},
		{args: "-a --files-from=list"},
		{args: "-ar --files-from=list"},
		{args: "-a --files-from=list0 -0"},
		{args: "-am"},
		{args: "-am --exclude=*.tmp"},
		{args: "-a --exclude=*.tmp --include=*.gz --exclude=dir/deep"},
		{args: "-a --exclude-from=rules"},
		{args: "-aF"},
		{args: "-aFF"},
		{args: "-a --filter=:en_.rsync-filter"},
		{args: "-a --filter=:w-_.rules"},
		{args: "-a --filter=:s_/.rsync-filter"},
		{args: "-aC"},
		{args: "-a --filter=:C"},
		{args: "-a --filter=-C"},
		{args: "-aFR", source: "src/dir/"},
		{args: "-arF --files-from=list"},
		{args: "-a --max-size=1K"},
		{args: "-a --max-size=20KB-1"},
		{args: "-a --min-size=5k"},
		{args: "-ax", unseen: "there is one file system; TestScripts has a mount"},
		// Which files are sent.
		{args: "-ac"},
		{args: "-aI"},
		{args: "-a --size-only"},
		{args: "-a --modify-window=0"},
		{args: "-a -@60"},
		{args: "-au"},
		{args: "-a --existing"},
		{args: "-a --ignore-existing", but: writtenThrough, why: through},
		{args: "-a --existing --ignore-existing", but: local("kept-dir", "types/dir-for-file"), why: through},
		// How they are written.
		{args: "-aW", unseen: wireOnly},
		{args: "-a --no-whole-file", unseen: wireOnly},
		{args: "-a -B 700 --no-W", unseen: wireOnly},
		{args: "-aS"},
		{args: "-a --inplace"},
		{args: "-a --inplace --no-W"},
		{args: "-aS --inplace"},
		{args: "-a --append"},
		{args: "-a --append-verify"},
		{args: "-ab"},
		{args: "-ab --suffix=.old"},
		{args: "-a --backup-dir=.bak"},
		{args: "-a --backup-dir=.bak --suffix=.old"},
		{args: "-a --partial", unseen: sameStart},
		{args: "-a --partial-dir=.part"},
		{args: "-a --no-W --partial-dir=.part"},
		{args: "-a -T .tmpdir", unseen: sameStart},
		{args: "-a --delay-updates", unseen: sameStart},
		{args: "-a --fsync", unseen: sameStart},
		{args: "-ay", unseen: wireOnly},
		{args: "-a --mkpath", target: "dst/to/be/made/"},
		{args: "-a", target: "dst/to/be/made/", unseen: "it cannot be made"},
		// What is deleted.
		{args: "-a --delete"},
		{args: "-a --del", clash: true},
		{args: "-a --delete-before", clash: true},
		{args: "-a --delete-delay"},
		{args: "-a --delete-after"},
		{args: "-a --delete --exclude=*.tmp"},
		{args: "-a --delete-excluded --exclude=*.tmp"},
		{args: "-aF --delete"},
		{args: "-aFF --delete"},
		{args: "-aF --delete-before"},
		{args: "-aF --delete-after", but: local("changed", "dir/text.gz", "links/changed"), why: readEarly},
		{args: "-aF --delete-excluded"},
		{args: "-aC --delete"},
		{args: "-a --delete --filter=:s_.rsync-filter"},
		{args: "-a --delete --filter=:r_.rsync-filter"},
		{args: "-a --delete --filter=:n_.rsync-filter --exclude=*.tmp"},
		{args: "-aFm --delete"},
		{args: "-aFR --delete", source: "src/dir/"},
		{args: "-arF --files-from=list --delete"},
		{args: "-aF --delete-delay", but: local("goes", "goes/c.keep"), why: inherits},
		{args: "-a --delete --ignore-errors"},
		{args: "-a --max-delete=2 --delete", code: map[string]int{"daemon": 25}, why: noCode},
		{args: "-a", clash: true, unseen: "the row that it is compared with has the clash as well"},
		{args: "-a --force", clash: true},
	}
}

func matrixWire() []row {
	remote := func(args string) row { return row{args: args, on: "daemon ssh", unseen: wireOnly} }
	return []row{
		{args: "-az", unseen: wireOnly},
		remote("-az --compress-choice=zstd"),
		remote("-az --zc=lz4"),
		remote("-az --zc=zlibx --zl=9"),
		remote("-az --zc=zlib --compress-level=1"),
		remote("-az --zc=none"),
		remote("-azz"),
		remote("-az --skip-compress=txt/gz"),
		remote("-az --protocol=30"),
		remote("-aHAX --protocol=30"),
		remote("-aHAX --protocol=31"),
		{args: "-a --bwlimit=100m", unseen: wireOnly},
		{args: "-a --timeout=60", unseen: wireOnly},
		{args: "-a --contimeout=60", on: "daemon", unseen: wireOnly},
		remote("-a4"),
		{args: "-a --address=127.0.0.1", on: "daemon", unseen: wireOnly},
		{args: "-a --sockopts=SO_KEEPALIVE,SO_SNDBUF=65536", on: "daemon", unseen: wireOnly},
		{args: "-aX -M--fake-super"},
		{args: "-a -M--munge-links"},
		{args: "-a -M--no-super", on: "ssh"},
	}
}

func matrixTogether() []row {
	return []row{
		{args: "-avzHAX --numeric-ids --delete --bwlimit=20m"},
		{args: "-aHAXS --delete-after --fake-super"},
		{args: "-rltzu --chmod=D755,F644 --chown=daemon:daemon", but: parted, why: parts},
		{args: "-a --inplace --no-whole-file --delete"},
		{args: "-aHAX --inplace --no-whole-file"},
		{args: "-aR --files-from=list0 -0"},
		{args: "-arH --files-from=list --delete"},
		{args: "-a --backup --backup-dir=.bak --suffix=.1 --delete"},
		{args: "-ab --delete"},
		{args: "-aHb --delete-before --delete-excluded --exclude=*.tmp", but: local("hard/one~"), why: linksTo},
		{args: "-aL --safe-links"},
		{args: "-aL --delete"},
		{args: "-a --copy-unsafe-links --delete-during"},
		{args: "-a --partial-dir=.part --delay-updates --delete-after"},
		{args: "-a --max-size=100K --min-size=4 --prune-empty-dirs"},
		{args: "-aHAXx --delete --exclude=/dir/ --delete-excluded"},
		{args: "-aAXU --numeric-ids --fsync"},
		{args: "-aHSI --delete-before", clash: true},
		{args: "-acH --no-t --chmod=go-w"},
		{args: "-aHX --append-verify --delete"},
		{args: "-auH --existing --delete"},
		{args: "-rtgoDpK --munge-links", but: throughKept, why: ownLink},
		{args: "-aHAX --delete --force", clash: true},
		{args: "-aR -m --exclude=*.tmp --backup-dir=.bak", source: "src/dir"},
	}
}
