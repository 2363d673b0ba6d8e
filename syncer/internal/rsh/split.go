package rsh

import (
	"errors"
	"fmt"
)

// Split splits --rsh into words at spaces, with quotes of both kinds; within quotes a doubled
// one is one, and a backslash is a backslash (rsync 3.5.0 main.c, do_cmd).
func Split(s string) ([]string, error) {
	var words []string
	var word []byte
	open, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == quote && i+1 < len(s) && s[i+1] == quote:
			word = append(word, c)
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word = append(word, c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == ' ':
			if open {
				words, word, open = append(words, string(word)), nil, false
			}
		default:
			word, open = append(word, c), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the remote shell %q lacks a closing %c", s, quote)
	}
	if open {
		words = append(words, string(word))
	}
	if len(words) == 0 {
		return nil, errors.New("the remote shell is empty")
	}
	return words, nil
}
