package filter

import "math/bits"

type tokenKind uint8

const (
	tokenByte  tokenKind = iota // one given byte
	tokenAny                    // "?": a byte other than "/"
	tokenSet                    // "[...]": a byte of the set
	tokenStar                   // "*": any number of bytes other than "/"
	tokenStars                  // "**" and longer: any number of bytes
	tokenNever                  // no byte at all: a broken "[" or a "\" at the end
)

// token is one element of a wildcard pattern. Two tokens with stars never stand side by side.
type token struct {
	kind tokenKind
	b    byte
	set  *byteSet
}

// accepts reports whether a token without stars matches the byte c.
func (t *token) accepts(c byte) bool {
	switch t.kind {
	case tokenByte:
		return t.b == c
	case tokenAny:
		return c != '/'
	case tokenSet:
		return t.set.has(c)
	}
	return false
}

// tokenize reads a pattern in the language of rsync 3.5.0 lib/wildmatch.c, dowild. It never returns nil.
func tokenize(pattern string) []token {
	tokens := make([]token, 0, len(pattern))
	for i := 0; i < len(pattern); i++ {
		t := token{b: pattern[i]}
		switch pattern[i] {
		case '\\':
			i++
			if i == len(pattern) {
				t.kind = tokenNever
				break
			}
			t.b = pattern[i]
		case '?':
			t.kind = tokenAny
		case '*':
			t.kind = tokenStar
			for i+1 < len(pattern) && pattern[i+1] == '*' {
				t.kind = tokenStars
				i++
			}
		case '[':
			set, end := parseSet(pattern, i+1)
			if set == nil {
				// What follows cannot be reached any more.
				return append(tokens, token{kind: tokenNever})
			}
			t.kind, t.set = tokenSet, set
			i = end
		}
		tokens = append(tokens, t)
	}
	return tokens
}

// endsOtherwise tells most names from "*.o" at once.
func endsOtherwise(tokens []token, text string) bool {
	last := &tokens[len(tokens)-1]
	return last.kind == tokenByte && (text == "" || text[len(text)-1] != last.b)
}

// matchShallow matches the whole text; tokens hold no tokenStars. When a star's rest fails, only the
// last star can still help: an earlier one ends at or before the same slash. So there is one place to
// go back to, and at most len(text)*len(tokens) steps.
func matchShallow(tokens []token, text string) bool {
	if endsOtherwise(tokens, text) {
		return false
	}
	star, mark := -1, 0
	ti := 0
	for i := 0; i < len(text); {
		if ti < len(tokens) {
			t := &tokens[ti]
			if t.kind == tokenStar {
				star, mark = ti, i
				ti++
				continue
			}
			if t.accepts(text[i]) {
				ti++
				i++
				continue
			}
		}
		if star < 0 || text[mark] == '/' {
			return false
		}
		mark++
		i, ti = mark, star+1
	}
	if ti < len(tokens) && tokens[ti].kind == tokenStar {
		ti++
	}
	return ti == len(tokens)
}

// matchDeep matches the whole text that parts form together, or, if anywhere is set, also what stands
// behind one of its slashes. With "**" there is more than one place to go back to, so it follows all of
// them at once: bit j of a state set says that tokens[:j] match what was read.
func matchDeep(tokens []token, parts []string, anywhere bool) bool {
	words := len(tokens)/64 + 1
	var space [8]uint64 // patterns of up to 255 tokens need no allocation
	s := states{tokens: tokens, now: space[:4], next: space[4:]}
	if words > 4 {
		s.now, s.next = make([]uint64, words), make([]uint64, words)
	}
	s.now, s.next = s.now[:words], s.next[:words]
	enter(s.now, tokens, 0)
	for _, part := range parts {
		for i := range len(part) {
			alive := s.step(part[i])
			if anywhere && part[i] == '/' {
				enter(s.now, tokens, 0)
			} else if !alive && !anywhere {
				return false
			}
		}
	}
	return s.now[len(tokens)/64]&(1<<(len(tokens)%64)) != 0
}

// states is the set of states before a byte, and room for the one after it.
type states struct {
	tokens    []token
	now, next []uint64
}

// step reads one byte and reports whether any state is left.
func (s *states) step(c byte) bool {
	clear(s.next)
	alive := false
	for w, word := range s.now {
		for ; word != 0; word &= word - 1 {
			j := w*64 + bits.TrailingZeros64(word)
			if j == len(s.tokens) {
				continue // was a match, but there is more text
			}
			to := -1
			switch t := &s.tokens[j]; {
			case t.kind == tokenStars, t.kind == tokenStar && c != '/':
				to = j
			case t.accepts(c):
				to = j + 1
			}
			if to >= 0 {
				enter(s.next, s.tokens, to)
				alive = true
			}
		}
	}
	s.now, s.next = s.next, s.now
	return alive
}

// enter adds state j, and the one behind a star that stands for nothing.
func enter(set []uint64, tokens []token, j int) {
	set[j/64] |= 1 << (j % 64)
	if j < len(tokens) && (tokens[j].kind == tokenStar || tokens[j].kind == tokenStars) {
		j++
		set[j/64] |= 1 << (j % 64)
	}
}

// Glob gives a function that says whether a whole text matches a pattern, as those of rules do:
// "*", "?" and "[...]" match no slash.
func Glob(pattern string) func(text string) bool {
	tokens := tokenize(pattern)
	return func(text string) bool { return matchDeep(tokens, []string{text}, false) }
}
