package syncer

import "fmt"

// Class says who can mend a failure.
type Class uint8

const (
	ClassTransient     Class = iota // nobody need: it goes away by itself
	ClassOperator                   // somebody has to do something: rights, room, a mount
	ClassConfiguration              // what was asked for cannot be had: other options, another target
)

var classNames = [...]string{"transient", "operator", "configuration"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// MarshalText implements encoding.TextMarshaler.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Class) UnmarshalText(text []byte) error {
	for i, name := range classNames {
		if string(text) == name {
			*c = Class(i)
			return nil
		}
	}
	return fmt.Errorf("class %q is none of %q", text, classNames)
}
