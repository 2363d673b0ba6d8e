package syncertest

import (
	"math"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
)

// hardNames gives names that break what was not written for bytes. They are names of files and
// symlinks, and of directories after some renames.
func hardNames() []string {
	return []string{
		"plain.txt", "index.html", " lead", "trail ", "two words", "new\nline", "tab\there", "cr\r",
		"'single'", `"double"`, `back\slash`, "*", "?[a-z]", "{a,b}", "-rf", "--delete", "#hash", "~",
		"$HOME `id`", "semi;colon", "%41", "...", ".hidden", "..hidden", "a\x01\x7fb",
		"\xff\xfe\x80", "caf\xe9", "日本語", strings.Repeat("n", 255), strings.Repeat("é", 127),
	}
}

// dirName gives the i-th name of a directory.
func dirName(i int) string {
	hard := []string{"d", "sub dir", "-d", "d\nd", "\xfedir", "[d]*", `d\d`, "é'\"", strings.Repeat("D", 200)}
	if i < len(hard) {
		return hard[i]
	}
	return hard[i%len(hard)] + "." + strconv.Itoa(i)
}

// namespace holds the paths that writers choose from. It is small and the same for all of them, so
// they meet; and because it is finite and fixed, a choice needs no look at the disk.
type namespace struct {
	dirs, leaves []string
}

// newNamespace has room for somewhat more paths than entries: with d directory names two levels
// deep there are 1+d+d*d directories, and each is a little more than half full most of the time.
func newNamespace(entries int) namespace {
	leaves := hardNames()
	d := int(math.Sqrt(float64(entries) / (0.65 * float64(len(leaves)))))
	n := namespace{leaves: leaves}
	for i := range max(d, 1) {
		n.dirs = append(n.dirs, dirName(i))
	}
	return n
}

// choice is what kind of path an op wants. What is there on the disk may be anything.
type choice int

const (
	noPath choice = iota
	leafPath
	dirPath
	anyPath
)

func (n namespace) pick(rng *rand.Rand, c choice) string {
	switch c {
	case leafPath:
		return path.Join(n.parent(rng), n.leaf(rng))
	case dirPath:
		return path.Join(n.parent(rng), n.dir(rng))
	case anyPath:
		if rng.IntN(3) == 0 {
			return n.pick(rng, dirPath)
		}
		return n.pick(rng, leafPath)
	}
	return ""
}

// parent picks a directory, "" for the root. Few are in the root; some are in a directory that
// was renamed to a file's name.
func (n namespace) parent(rng *rand.Rand) string {
	switch p := rng.IntN(20); {
	case p < 1:
		return ""
	case p < 6:
		return n.dir(rng)
	case p < 18:
		return path.Join(n.dir(rng), n.dir(rng))
	case p < 19:
		return path.Join(n.dir(rng), n.leaf(rng))
	}
	return n.leaf(rng)
}

func (n namespace) dir(rng *rand.Rand) string  { return n.dirs[rng.IntN(len(n.dirs))] }
func (n namespace) leaf(rng *rand.Rand) string { return n.leaves[rng.IntN(len(n.leaves))] }
