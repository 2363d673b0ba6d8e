package sender

import (
	"io"
	"time"

	"github.com/lockstep-sync/lockstep/syncer/internal/checksum"
	"github.com/lockstep-sync/lockstep/syncer/internal/flist"
	"github.com/lockstep-sync/lockstep/syncer/internal/option"
	"github.com/lockstep-sync/lockstep/syncer/internal/rate"
	"github.com/lockstep-sync/lockstep/syncer/internal/report"
)

const (
	// MinProtocol is that of rsync 3.0, MaxProtocol that of 3.4 and 3.5.
	MinProtocol = 30
	MaxProtocol = 32
)

// Options are the settings of a push, in rsync's words. They hold for many pushes.
type Options struct {
	option.Set
	Sink report.Sink
	// Limit keeps to Bwlimit over all pushes that share it; nil makes one for this push.
	Limit *rate.Limiter

	Protocol    int             // to announce; 0 is MaxProtocol
	AuthDigests []string        // to announce, strongest first; nil is all that are known
	Checksums   []checksum.Kind // to offer, in canonical order; nil is checksum.Offered()
	// Without holds long options, without dashes, that the peer refuses: "force" and
	// "modify-window" are of our own asking and are left out.
	Without map[string]bool
}

func (o Options) withDefaults() Options {
	if o.Protocol == 0 {
		o.Protocol = MaxProtocol
	}
	if o.AuthDigests == nil {
		o.AuthDigests = authDigests()
	}
	if o.Limit == nil {
		o.Limit = rate.New(o.Bwlimit)
	}
	if o.Checksums == nil {
		o.Checksums = checksum.Offered()
	}
	return o
}

// Digest stands for the content of a file.
type Digest struct {
	Kind checksum.Kind
	Sum  [checksum.MaxSize]byte // shorter ones end in zeros
}

// Is reads r to its end, and says whether that is the content.
func (d *Digest) Is(r io.Reader) bool {
	h := d.Kind.New()
	_, err := io.Copy(h, r)
	sum := [checksum.MaxSize]byte{}
	h.Sum(sum[:0])
	return err == nil && sum == d.Sum
}

// Job is one run: a file list and what the peer is to do beside receiving it.
type Job struct {
	List        List
	Walk        Walk     // instead of List; where no list in pieces can be had, its Whole becomes List
	Delete      bool     // missing entries are deleted, and types may be replaced by one another
	Prune       bool     // directories that are not Partial lose what is not listed
	Filter      []string // rules for the peer; they travel when Prune is set
	IgnoreTimes bool     // every regular file is compared by content
	// WithBasis says that data are sent only for what the peer has something of.
	WithBasis bool
	// Alias is where entries are read that stand under another name in the source; nil: nowhere.
	Alias map[string]string
	// Sent, if not nil, is told of each file that was read to its end and did not change
	// meanwhile, as far as its stamps tell: as it was, when reading began, and what was read. It may still fail to arrive.
	Sent func(e *flist.Entry, at time.Time, d Digest)
	// Blame, if not nil, takes a message that says what the peer could not do, raw, and says whether it is
	// known by it which path failed. One that is not makes the run Partial.
	Blame func(message []byte) bool
	// Aside, if not nil, takes the peer's other errors.
	Aside func(message []byte)
	// Hush makes what Blame knows no error for the Sink: whoever reads the problems has it from there.
	Hush bool
	// Touched, if not nil, is told of directories in which the peer changed names, or tried to.
	Touched func(dir string)
	// Withheld, if not nil, says why the data of a file are not sent although the peer asks for them:
	// they are a problem then. The entry stays in the list, so that nothing is deleted for it.
	Withheld func(name string) error
}

// local is the name under which the source has an entry.
func (j *Job) local(name string) string {
	if alias, ok := j.Alias[name]; ok {
		return alias
	}
	return name
}
