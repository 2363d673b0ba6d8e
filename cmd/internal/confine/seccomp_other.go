//go:build !amd64 && !arm64

package confine

const auditArch, otherABI = 0, 0

var deniedHere []uint32
