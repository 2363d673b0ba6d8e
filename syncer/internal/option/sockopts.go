package option

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Sockopt is one call of setsockopt(2).
type Sockopt struct {
	Name              string
	Level, Opt, Value int
}

// socketOption is one that --sockopts knows. Some have one value only.
type socketOption struct {
	level, opt int
	fixed      bool
	value      int // of a fixed one; of others where none is given
}

// ParseSockopts reads --sockopts: names between commas or blanks, which may have a value.
func ParseSockopts(s string) ([]Sockopt, error) {
	var opts []Sockopt
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(", \t\n", r) }) {
		o, err := parseSockopt(word)
		if err != nil {
			return nil, err
		}
		opts = append(opts, o)
	}
	return opts, nil
}

func parseSockopt(word string) (Sockopt, error) {
	name, text, hasValue := strings.Cut(word, "=")
	known, err := socketOptionNamed(name)
	if err != nil {
		return Sockopt{}, fmt.Errorf("socket option %q: %w", name, err)
	}
	o := Sockopt{Name: name, Level: known.level, Opt: known.opt, Value: known.value}
	if !hasValue {
		return o, nil
	}
	if known.fixed {
		return Sockopt{}, fmt.Errorf("socket option %q takes no value", name)
	}
	value, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return Sockopt{}, fmt.Errorf("socket option %q: %q is no number", name, text)
	}
	o.Value = int(value)
	return o, nil
}

// socketOptionNamed knows rsync's names (rsync 3.5.0 socket.c, socket_options), less those
// that cannot work: rsync only finds out when it has tried.
func socketOptionNamed(name string) (socketOption, error) {
	const lowDelay, throughput = 0x10, 0x08 // ip(7), IP_TOS
	switch name {
	case "SO_KEEPALIVE":
		return socketOption{level: unix.SOL_SOCKET, opt: unix.SO_KEEPALIVE, value: 1}, nil
	case "SO_REUSEADDR":
		return socketOption{level: unix.SOL_SOCKET, opt: unix.SO_REUSEADDR, value: 1}, nil
	case "SO_BROADCAST":
		return socketOption{level: unix.SOL_SOCKET, opt: unix.SO_BROADCAST, value: 1}, nil
	case "TCP_NODELAY":
		return socketOption{level: unix.IPPROTO_TCP, opt: unix.TCP_NODELAY, value: 1}, nil
	case "IPTOS_LOWDELAY":
		return socketOption{level: unix.IPPROTO_IP, opt: unix.IP_TOS, fixed: true, value: lowDelay}, nil
	case "IPTOS_THROUGHPUT":
		return socketOption{level: unix.IPPROTO_IP, opt: unix.IP_TOS, fixed: true, value: throughput}, nil
	case "SO_SNDBUF":
		return socketOption{level: unix.SOL_SOCKET, opt: unix.SO_SNDBUF, value: 1}, nil
	case "SO_RCVBUF":
		return socketOption{level: unix.SOL_SOCKET, opt: unix.SO_RCVBUF, value: 1}, nil
	case "SO_RCVLOWAT":
		return socketOption{level: unix.SOL_SOCKET, opt: unix.SO_RCVLOWAT, value: 1}, nil
	case "SO_SNDLOWAT", "SO_SNDTIMEO", "SO_RCVTIMEO":
		return socketOption{}, errors.New("the kernel does not take it as a number (--timeout is what gives up on a silent peer)")
	}
	return socketOption{}, errors.New("it is unknown: SO_KEEPALIVE, SO_REUSEADDR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT, TCP_NODELAY, IPTOS_LOWDELAY, IPTOS_THROUGHPUT")
}
