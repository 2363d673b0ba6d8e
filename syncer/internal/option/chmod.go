package option

// Chmod is the rules of --chmod, in order (rsync(1), --chmod; chmod(1)).
type Chmod []chmodRule

type chmodRule struct{}

// Apply is what the rules make of a source's st_mode; its type stays.
func (c Chmod) Apply(mode uint32) uint32 { return mode }
