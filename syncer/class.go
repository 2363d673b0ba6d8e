package syncer

import "fmt"

// Class says what it takes to get over an error that ended a push. All are tried again, for ever.
type Class uint8

const (
	ClassTransient     Class = iota // it goes by itself: a daemon restarts, a network is down
	ClassOperator                   // something outside has to be mended: a disk is full, a mount is gone
	ClassConfiguration              // what was configured, here or there, does not fit
)

var classNames = [...]string{"transient", "needs the operator", "configuration"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// MarshalText writes c as String does.
func (c Class) MarshalText() ([]byte, error) {
	if int(c) >= len(classNames) {
		return nil, fmt.Errorf("there is no class %d", uint8(c))
	}
	return []byte(classNames[c]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (c *Class) UnmarshalText(text []byte) error {
	for i, name := range classNames {
		if name == string(text) {
			*c = Class(i)
			return nil
		}
	}
	return fmt.Errorf("there is no class %q", text)
}
