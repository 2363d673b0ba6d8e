package watcher

import (
	"reflect"
	"strings"
	"unsafe"

	"github.com/fsnotify/fsnotify"
)

// fsnotify has IN_CLOSE_WRITE, but exports neither the operation nor the option of AddWith that asks
// for it (v1.10.1: xUnportableCloseWrite, withOps). It is worth asking: without it nobody knows that a file is
// complete, and stores through mmap give no event at all. Of the other ways to it, a second inotify
// descriptor of our own doubles the watches, each of which pins an inode, and replacing the mask
// behind fsnotify's back costs a second system call for each directory.
//
// So an option is made: a function with fsnotify's type that sets the field op of the structure it is
// called with. How that looks is checked first; where it has changed, hasCloseWrite is false, and what
// is written counts as complete once it was quiet, as without close-write.
var (
	closeWrite                    = findOp("CLOSE_WRITE")
	withCloseWrite, hasCloseWrite = closeWriteOption(fsnotify.WithBufferSize(0))
)

// findOp gives the operation that fsnotify calls name, 0 if there is none.
func findOp(name string) fsnotify.Op {
	for bit := fsnotify.Chmod << 1; bit != 0; bit <<= 1 {
		if strings.Trim(bit.String(), "|") == name {
			return bit
		}
	}
	return 0
}

// closeWriteOption is called with an option that does nothing on Linux, for its type, which has no
// name outside fsnotify: func(*withOpts).
func closeWriteOption[T any](option T) (T, bool) {
	offset, ok := opOffset(reflect.TypeFor[T]())
	if !ok || closeWrite == 0 {
		return option, false
	}
	set := func(options unsafe.Pointer) { *(*fsnotify.Op)(unsafe.Add(options, offset)) |= closeWrite }
	// A function of one pointer is called like one of another pointer.
	return *(*T)(unsafe.Pointer(&set)), true
}

// opOffset gives where in the structure of options the operations are.
func opOffset(option reflect.Type) (uintptr, bool) {
	if option.Kind() != reflect.Func || option.NumIn() != 1 || option.NumOut() != 0 || option.In(0).Kind() != reflect.Pointer {
		return 0, false
	}
	options := option.In(0).Elem()
	if options.Kind() != reflect.Struct {
		return 0, false
	}
	field, ok := options.FieldByName("op")
	return field.Offset, ok && field.Type == reflect.TypeFor[fsnotify.Op]()
}
