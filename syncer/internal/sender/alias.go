package sender

import "github.com/lockstep-sync/lockstep/syncer/internal/flist"

// summed says whether e's digest is known from the other name of its group, which shares its Extra.
func (j *Job) summed(e *flist.Entry) bool {
	return len(j.Alias) > 0 && e.Flags&flist.Linked != 0 && len(e.Sum()) > 0
}
