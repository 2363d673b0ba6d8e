package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// schema is what is read of what lockstep schema prints.
type schema struct {
	Properties map[string]property
	Defs       map[string]struct{ Properties map[string]property } `json:"$defs"`
}

type property struct {
	Description string
	Type        any // a name, or a list of names
	Enum        []any
	AnyOf       []property
	Ref         string `json:"$ref"`
	Properties  map[string]property
}

func readSchema(program string) (schema, error) {
	var s schema
	out, err := exec.Command(program, "schema").Output()
	if err != nil {
		return s, fmt.Errorf("%s schema: %w", program, err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("%s schema: %w", program, err)
	}
	if len(s.Properties) == 0 || len(s.Properties["defaults"].Properties) == 0 || len(s.Defs["sync"].Properties) == 0 {
		return s, fmt.Errorf("%s schema: no keys, no defaults, or no syncs in it", program)
	}
	return s, nil
}

// keys writes a list of all keys: of the file, of a sync, and those that may stand in defaults, a sync or a target.
func (s schema) keys(m *page) {
	options, sync := s.Properties["defaults"].Properties, map[string]property{}
	for name, p := range s.Defs["sync"].Properties {
		if _, ok := options[name]; !ok {
			sync[name] = p
		}
	}
	m.heading("Keys of the file")
	list(m, s.Properties)
	m.heading("Keys of a sync")
	list(m, sync)
	m.heading("Keys of defaults, a sync or a target")
	m.para(markdownSpans("What stands in a target counts more than what stands in its sync, and that more than defaults. " +
		"**lockstep**(1) says more of each option."))
	list(m, options)
}

func list(m *page, properties map[string]property) {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p := properties[name]
		tag := []span{{'B', name + ":"}, {'R', " "}}
		m.item(append(tag, p.values()...), []span{{'R', p.Description}})
	}
}

// values is what a key may be.
func (p property) values() []span {
	if p.Ref == "#/$defs/hook" {
		return []span{{'I', "COMMAND"}}
	}
	var words []string
	for _, e := range p.Enum {
		words = append(words, fmt.Sprint(e))
	}
	if len(words) > 0 {
		return []span{{'R', strings.Join(words, " | ")}}
	}
	types := fmt.Sprint(p.Type)
	for _, q := range p.AnyOf {
		types += fmt.Sprint(q.Type)
	}
	switch {
	case strings.Contains(types, "array") && strings.Contains(types, "string"):
		return []span{{'I', "TEXT"}, {'R', " | ["}, {'I', "TEXT"}, {'R', ", …]"}}
	case strings.Contains(types, "array"):
		return []span{{'R', "[…]"}}
	case strings.Contains(types, "string"):
		return []span{{'I', "TEXT"}}
	case strings.Contains(types, "boolean"):
		return []span{{'R', "true | false"}}
	case strings.Contains(types, "object"):
		return []span{{'R', "{…}"}}
	}
	return nil
}
