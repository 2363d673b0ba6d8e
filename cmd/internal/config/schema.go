package config

import (
	"encoding/json"
	"slices"

	"github.com/lockstep-sync/lockstep/cmd/internal/options"
)

// object is a part of a JSON schema.
type object = map[string]any

// Schema is the JSON schema of a config file, for editors. It knows the form of a file: keys, where they may stand, and what
// their values look like. What the values mean, lockstep check knows.
func Schema() []byte {
	l := newLoader(nil)
	defs := object{
		"hook": hookSchema(),
		"sync": l.levelSchema(inSync, object{
			"name":    object{"type": "string", "minLength": 1, "maxLength": maxName, "description": "names this sync in status and logs; the last part of the source if it is missing"},
			"source":  object{"type": "string", "minLength": 1, "description": "the directory or file that is kept in step; with a slash at its end, its content"},
			"targets": object{"type": "array", "minItems": 1, "items": ref("target"), "description": "what it is brought to"},
		}, "source", "targets"),
		"target": object{"anyOf": []any{
			object{"type": "string", "minLength": 1},
			l.levelSchema(inTarget, object{
				"to": object{"type": "string", "minLength": 1, "description": "a path, [user@]host:path, [user@]host::module/path or an rsync:// URL"},
			}, "to"),
		}},
	}
	top := object{
		"include":  object{"description": "files with further syncs, relative to this one", "anyOf": oneOrMore(object{"type": []string{"string", "number"}, "minLength": 1})},
		"defaults": l.levelSchema(inDefaults, object{}),
		"syncs":    object{"type": "array", "items": ref("sync"), "description": "what is kept in step with what"},
	}
	for _, name := range l.names(inFile) {
		if o := l.processOption(name); o != nil {
			top[name] = optionSchema(o)
		}
	}
	schema := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "lockstep.yaml, the config of lockstep agent",
		"type":    "object", "additionalProperties": false,
		"properties": top, "$defs": defs,
		"anyOf": []any{object{"required": []string{"syncs"}}, object{"required": []string{"include"}}},
	}
	b, err := json.MarshalIndent(schema, "", "  ") // the keys in order: the same each time
	if err != nil {
		panic("the schema is no JSON: " + err.Error())
	}
	return append(b, '\n')
}

func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

func oneOrMore(one object) []any {
	return []any{one, object{"type": "array", "items": one}}
}

// levelSchema is of defaults, a sync or a target, with keys of its own.
func (l *loader) levelSchema(w where, own object, required ...string) object {
	for _, name := range l.names(w) {
		switch o := l.option(name, w); {
		case o != nil:
			own[name] = optionSchema(o)
		case isHook(name):
			own[name] = object{"$ref": "#/$defs/hook", "description": hookAbout(name)}
		}
	}
	s := object{"type": "object", "additionalProperties": false, "properties": own}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func hookAbout(name string) string {
	i := slices.IndexFunc(hookKeys, func(h struct{ name, about string }) bool { return h.name == name })
	return hookKeys[i].about
}

// optionSchema is of one key. Numbers are texts too: YAML cannot know which was meant.
func optionSchema(o *options.Option) object {
	s := object{}
	one := object{"type": []string{"string", "number"}}
	switch {
	case o.Kind == options.Switch:
		s["type"] = "boolean"
	case o.Kind == options.Choice && o.Choices[0] == "on":
		s["enum"] = []any{"on", "off", true, false}
	case o.Kind == options.Choice:
		s["enum"] = o.Choices
	case o.List:
		s["anyOf"] = oneOrMore(one)
	case o.Bare && o.BareWhy == "":
		s["type"] = []string{"string", "number", "boolean"}
	default:
		s = one
	}
	about := o.About
	if o.Same != "" {
		about = "another name of " + o.Same
	}
	s["description"] = about
	return s
}

func hookSchema() object {
	words := object{"type": "array", "items": object{"type": []string{"string", "number"}}}
	return object{"anyOf": []any{words, object{
		"type": "object", "additionalProperties": false,
		"properties": object{
			"run":     object{"type": "array", "items": words["items"], "description": "the words of a command"},
			"shell":   object{"type": "string", "minLength": 1, "description": "a script for sh"},
			"timeout": object{"type": []string{"string", "number"}, "description": "how long it may take, as 30s"},
		},
		"oneOf": []any{object{"required": []string{"run"}}, object{"required": []string{"shell"}}},
	}}}
}
