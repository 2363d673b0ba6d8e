//go:build race

package syncertest

// UnderRace says that the race detector is built in: the same work takes several times as long.
const UnderRace = true
