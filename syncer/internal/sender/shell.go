package sender

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/lockstep-sync/lockstep/syncer/internal/report"
	"github.com/lockstep-sync/lockstep/syncer/internal/wire"
)

// Shell is an rsync --server that a remote shell started with the words of Command: both
// sides begin with their protocol's number (rsync 3.5.0 compat.c, setup_protocol).
type Shell struct {
	// Old says that the peer is known to be older than rsync 3.2, Modern that it is known not to
	// be. Nobody knows before the first run.
	Old, Modern bool
}

// ErrOldPeer says that the peer's arguments were those of a newer rsync than it is: nothing was
// sent. With Shell.Old set it can be done.
var ErrOldPeer = errors.New("the peer is older than its arguments")

// ErrUnclean says that what a remote shell's rsync was to say first is something else.
var ErrUnclean = errors.New("no rsync protocol version")

// maxVersion bounds what is taken for a protocol's number (rsync 3.5.0 rsync.h, MAX_PROTOCOL_VERSION).
const maxVersion = 40

// Command is the words that start the peer of a job: the program's, then its arguments. They
// are quoted for a Bourne shell where they need it; program is a piece of shell as it stands.
// path "" is the directory where the shell begins.
func (s *Shell) Command(program string, o Options, j *Job, path string) []string {
	o = o.withDefaults()
	words := []string{program}
	for _, arg := range o.arguments(j, !s.Old) {
		words = append(words, quote(arg))
	}
	return append(words, pathArgument(path))
}

func (s *Shell) greet(c *Session, o *Options) error {
	c.modern, c.assumed = s.Modern, !s.Old && !s.Modern
	if _, err := c.count.Write(binary.LittleEndian.AppendUint32(nil, uint32(o.Protocol))); err != nil {
		return fmt.Errorf("send the protocol version: %w", err)
	}
	first, err := c.br.Peek(4)
	if err != nil {
		return fmt.Errorf("read the protocol version: %w", err)
	}
	version := binary.LittleEndian.Uint32(first)
	if version < 20 || version > maxVersion {
		first, _ = c.br.Peek(min(c.br.Buffered(), 80))
		line, _, _ := strings.Cut(string(first), "\n")
		return report.Fail(report.CodeProtocol, fmt.Errorf("%w: the remote shell says %q", ErrUnclean, wire.Printable([]byte(line))),
			"is your shell clean? Its start-up files there must not write anything for a command without a terminal")
	}
	c.br.Discard(4)
	c.protocol = min(int(version), o.Protocol)
	if c.protocol < MinProtocol {
		return report.Fail(report.CodeProtocol,
			report.Because(fmt.Errorf("%w: the peer speaks protocol %d, at least %d is needed", wire.ErrProtocol, version, MinProtocol), ErrOldProtocol),
			"rsync 3.0 or later is needed there")
	}
	return nil
}

// command has nothing to send but what follows the arguments: these were on the command line.
func (s *Shell) command(c *Session, _ []string, _ string, behind []byte) error {
	if len(behind) == 0 {
		return nil
	}
	if _, err := c.count.Write(behind); err != nil {
		return fmt.Errorf("offer checksums: %w", err)
	}
	return nil
}

func (s *Shell) path() string { return "" }

// pathArgument is the target's path as the remote shell is to be given it. All but a tilde at its
// beginning stands for itself: an escaped wildcard is no wildcard to the shell, and the rsync
// behind it expands none (with secluded arguments it would: rsync 3.5.0 io.c, read_args). So one
// way serves all versions.
func pathArgument(path string) string {
	switch {
	case path == "":
		return "."
	case path[0] == '-' || path[0] == '=': // an option; to zsh a command's path
		path = "./" + path
	case path[0] == '~':
		home, _, _ := strings.Cut(path, "/")
		if plain(home[1:]) {
			return home + quoteSome(path[len(home):])
		}
	}
	return quote(path)
}

// quote makes word one word of a shell's.
func quote(word string) string {
	if word == "" {
		return "''"
	}
	return quoteSome(word)
}

// quoteSome escapes with backslashes, as rsync does: they mean the same in all shells. A line end
// would vanish behind one.
func quoteSome(word string) string {
	if plain(word) {
		return word
	}
	var b strings.Builder
	for i := range len(word) {
		switch c := word[i]; {
		case c == '\n':
			b.WriteString("'\n'")
		case plain(word[i : i+1]):
			b.WriteByte(c)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

// plain says that a word means itself to any shell. Bytes beyond ASCII do.
func plain(word string) bool {
	for i := range len(word) {
		c := word[i]
		ok := c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("%+,-./:=@_", c) >= 0
		if !ok {
			return false
		}
	}
	return true
}
