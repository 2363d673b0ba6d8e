package option

import (
	"time"

	"github.com/lockstep-sync/lockstep/syncer/filter"
)

// When says at what point of a push --delete deletes.
type When uint8

const (
	During When = iota // when the directory is brought over: rsync's default
	Before
	Delay // found during, deleted after
	After
)

// Set is one command line's options, each as rsync(1) has it. Start from Defaults or Archive:
// in the zero value the limits are zero.
type Set struct {
	// What takes part.
	Recurse, Links, Devices, Specials bool
	OneFileSystem                     bool         // -x
	CopyLinks                         bool         // -L: symlinks become what they point to
	CopyUnsafeLinks                   bool         // those that point outside the tree do
	SafeLinks                         bool         // those that point outside the tree are left out
	CopyDirlinks                      bool         // -k: symlinks to directories become directories
	MungeLinks                        bool         // what a munging daemon did to symlinks is undone
	Relative                          bool         // -R
	NoImpliedDirs                     bool         // with Relative: the directories above are not brought in line
	Files                             []string     // --files-from: only these names below the source; nil: all
	Filter                            *filter.List // nil: everything
	PruneEmptyDirs                    bool         // -m
	MaxSize, MinSize                  int64        // bytes; MaxSize negative: no limit

	// What is kept of it.
	Perms, Times, Group, Owner  bool
	HardLinks                   bool // -H
	ACLs                        bool // -A, implies Perms
	Xattrs                      bool // -X
	Atimes                      bool // -U
	Crtimes                     bool // -N
	Executability               bool // -E
	OmitDirTimes, OmitLinkTimes bool // -O, -J
	NumericIDs                  bool
	FakeSuper                   bool   // of a local target, or source
	Chmod                       Chmod  // applied to what the source says
	Usermap, Groupmap           string // as written; checked by ParseIDMap

	// Which files are sent.
	Checksum, SizeOnly, IgnoreTimes  bool
	ModifyWindow                     int  // seconds that times may differ; negative: compare nanoseconds
	Update, Existing, IgnoreExisting bool // -u, --existing, --ignore-existing

	// How they are written.
	WholeFile            bool // -W
	BlockSize            int  // -B, bytes; 0: by the file's length
	Sparse               bool // -S
	Inplace              bool
	Append, AppendVerify bool // each implies Inplace
	Backup               bool // -b
	BackupDir, Suffix    string
	Partial              bool
	PartialDir, TempDir  string
	DelayUpdates, Fsync  bool
	KeepDirlinks         bool // -K: symlinks to directories on the target stand for directories
	Fuzzy                bool // -y
	Mkpath               bool

	// What is deleted.
	Delete, DeleteExcluded, IgnoreErrors, Force bool
	DeleteWhen                                  When
	MaxDelete                                   int64 // negative: no limit

	// The wire.
	Compress       bool   // -z
	CompressChoice string // zstd, lz4, zlibx, zlib, none; "": negotiated
	CompressLevel  int    // counts with LevelGiven
	LevelGiven     bool
	SkipCompress   string // suffixes between slashes; counts with SkipGiven
	SkipGiven      bool
	Bwlimit        int64         // bytes a second; 0: no limit
	Timeout        time.Duration // nothing moves for that long: give up; 0: never
	ConTimeout     time.Duration // for a connection; 0: the kernel's patience
	RemoteOptions  []string      // -M: words for the peer alone
	Rsh, RsyncPath string        // -e, --rsync-path; "": ssh, rsync
	Family         int           // 4 or 6: -4, -6; 0: either
	Address        string        // to connect from
	Sockopts       string        // as written; checked by ParseSockopts
	NoPrewarm      bool          // no connection is opened ahead
	NoIncRecurse   bool          // the list is sent whole

	DryRun bool
}

// Defaults is an empty command line: files of one directory, no attributes, nanoseconds compared.
func Defaults() Set { return Set{MaxDelete: -1, MaxSize: -1, ModifyWindow: -1} }

// Archive is -a: -rlptgoD.
func Archive() Set {
	s := Defaults()
	s.Recurse, s.Links, s.Perms, s.Times, s.Group, s.Owner, s.Devices, s.Specials = true, true, true, true, true, true, true, true
	return s
}
