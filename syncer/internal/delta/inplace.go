package delta

import "github.com/lockstep-sync/lockstep/syncer/internal/checksum"

// there says whether the receiver still has block i when it wrote up to offset at: it writes
// from the beginning to the end, so what stands further on is as it was, and so is what was found
// where it stood (rsync 3.5.0 match.c, hash_search).
func (m *Matcher) there(i int32, at int64) bool {
	return !m.sums.InPlace || int64(i)*int64(m.sums.BlockLen) >= at || m.kept[i]
}

// findInPlace is find for a basis that is written over. The best block is the one that stands
// where the window is: the receiver need not write it.
func (m *Matcher) findInPlace(sum uint32, window []byte) int32 {
	at := m.base + int64(m.pos)
	n := int64(m.sums.BlockLen)
	if i := int32(at / n); at%n == 0 && at/n < int64(m.sums.Count) && m.sums.weak[i] == sum &&
		m.sums.Len(i) == int32(n) && m.confirm(i, window) {
		if m.kept == nil {
			m.kept = map[int32]bool{}
		}
		m.kept[i] = true
		return i
	}
	if e := m.expect; e < m.sums.Count && m.sums.weak[e] == sum && m.sums.Len(e) == int32(n) && m.there(e, at) && m.confirm(e, window) {
		return e
	}
	prev := &m.table.head[checksum.Mix(sum, m.table.size)]
	for tries := 0; *prev >= 0 && tries < maxCandidates; {
		i := *prev
		if !m.there(i, at) {
			*prev = m.table.next[i] // gone for good
			continue
		}
		prev = &m.table.next[i]
		if m.sums.weak[i] != sum {
			continue
		}
		tries++
		if m.confirm(i, window) {
			return i
		}
	}
	return -1
}
