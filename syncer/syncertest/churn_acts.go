package syncertest

import (
	"math/rand/v2"
	"slices"
)

// churnAct is one thing that a writer can do.
type churnAct struct {
	name   string
	weight int
	on, to choice
	do     func(*churnWriter, churnStep) error
}

// churnActs lists them all. The weights keep the tree about as full as it may be: what creates and
// what removes are in balance near there.
func churnActs() []churnAct {
	return []churnAct{
		{"create", 22, leafPath, noPath, (*churnWriter).create},
		{"write", 8, leafPath, noPath, (*churnWriter).write},
		{"append", 8, leafPath, noPath, (*churnWriter).appendTo},
		{"append slowly", 1, leafPath, noPath, (*churnWriter).appendSlowly},
		{"truncate", 5, leafPath, noPath, (*churnWriter).truncate},
		{"rewrite", 6, leafPath, noPath, (*churnWriter).rewrite},
		{"rewrite within the second", 6, leafPath, noPath, (*churnWriter).rewriteWithinSecond},
		{"rewrite and set mtime back", 6, leafPath, noPath, (*churnWriter).rewriteMtimeBack},
		{"replace", 8, leafPath, noPath, (*churnWriter).replace},
		{"mkdir with content", 6, dirPath, noPath, (*churnWriter).mkdir},
		{"rename within directory", 4, leafPath, leafPath, (*churnWriter).renameWithin},
		{"rename", 6, leafPath, leafPath, (*churnWriter).rename},
		{"rename directory", 4, dirPath, anyPath, (*churnWriter).renameDir},
		{"rename and write on", 3, leafPath, leafPath, (*churnWriter).renameAndWrite},
		{"exchange", 3, anyPath, anyPath, (*churnWriter).exchange},
		{"move out", 3, anyPath, noPath, (*churnWriter).moveOut},
		{"move in", 6, anyPath, noPath, (*churnWriter).moveIn},
		{"unlink", 6, leafPath, noPath, (*churnWriter).unlink},
		{"remove tree", 2, anyPath, noPath, (*churnWriter).removeTree},
		{"chmod", 5, anyPath, noPath, (*churnWriter).chmod},
		{"chown", 4, anyPath, noPath, (*churnWriter).chown},
		{"touch", 5, anyPath, noPath, (*churnWriter).touch},
		{"symlink", 4, leafPath, noPath, (*churnWriter).symlink},
		{"swap symlink", 4, leafPath, noPath, (*churnWriter).swapSymlink},
		{"mkfifo", 2, leafPath, noPath, (*churnWriter).mkfifo},
	}
}

// possible leaves out what cannot succeed here.
func (r *churnRun) possible(acts []churnAct) []churnAct {
	return slices.DeleteFunc(acts, func(a churnAct) bool {
		return slices.Contains(r.Without, a.name) || a.name == "chown" && !r.isRoot || (a.name == "move out" || a.name == "move in") && r.outside < 0
	})
}

func pickAct(acts []churnAct, rng *rand.Rand) *churnAct {
	sum := 0
	for _, a := range acts {
		sum += a.weight
	}
	n := rng.IntN(sum)
	for i := range acts {
		if n -= acts[i].weight; n < 0 {
			return &acts[i]
		}
	}
	panic("syncertest: the weights of churnActs do not add up")
}
