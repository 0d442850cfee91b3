package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What a hash may ask of this machine: whoever sends a password makes moorgate
// spend this much before it knows them.
const (
	maxArgonMemory  = 1 << 20 // KiB
	maxArgonTime    = 10
	maxArgonThreads = 32
)

// The sizes of what a hash line holds: below the least they protect nobody.
const (
	minSalt, maxSalt = 8, 64
	minHash, maxHash = 16, 64
)

// argonHash is a password's argon2id hash with what it was made with.
type argonHash struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, sum    []byte
}

// newArgon has the parameters of RFC 9106's second choice, for machines that
// have other work than passwords.
var newArgon = argonHash{memory: 64 << 10, time: 3, threads: 4}

// HashPassword makes the line that a user's password setting holds.
func HashPassword(password string) string {
	h := newArgon
	h.salt = make([]byte, 16)
	_, _ = rand.Read(h.salt) // never fails
	h.sum = h.derive(password, 32)
	return h.String()
}

func (h *argonHash) derive(password string, size int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(size))
}

// matches says whether the password is the hash's, in the same time for every
// wrong one.
func (h *argonHash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password, len(h.sum)), h.sum) == 1
}

// String is the hash in the PHC string format.
func (h *argonHash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.sum))
}

var errHash = errors.New("write the line that `moorgate password` prints, which begins with $argon2id$, or file:PATH")

// parseArgon reads the PHC string format. Its errors never quote salt or hash.
func parseArgon(text string) (*argonHash, error) {
	part := strings.Split(text, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" {
		return nil, errHash
	}
	if part[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("this hash is not of argon2 version %d: make it anew with `moorgate password`", argon2.Version)
	}
	h := &argonHash{}
	param := strings.Split(part[3], ",")
	if len(param) != 3 {
		return nil, errHash
	}
	memory, err := argonParameter(param[0], "m=", maxArgonMemory)
	if err != nil {
		return nil, err
	}
	time, err := argonParameter(param[1], "t=", maxArgonTime)
	if err != nil {
		return nil, err
	}
	threads, err := argonParameter(param[2], "p=", maxArgonThreads)
	if err != nil {
		return nil, err
	}
	if memory < 8*threads {
		return nil, fmt.Errorf("m=%d is too little memory for p=%d: make the hash anew with `moorgate password`", memory, threads)
	}
	h.memory, h.time, h.threads = memory, time, uint8(threads)
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(part[4]); err != nil || len(h.salt) < minSalt || len(h.salt) > maxSalt {
		return nil, fmt.Errorf("the salt of this hash is not %d to %d bytes in base64: was the line cut?", minSalt, maxSalt)
	}
	if h.sum, err = base64.RawStdEncoding.Strict().DecodeString(part[5]); err != nil || len(h.sum) < minHash || len(h.sum) > maxHash {
		return nil, fmt.Errorf("the hash itself is not %d to %d bytes in base64: was the line cut?", minHash, maxHash)
	}
	return h, nil
}

// argonParameter reads one of "m=65536", "t=3", "p=4".
func argonParameter(text, name string, most uint32) (uint32, error) {
	digits, ok := strings.CutPrefix(text, name)
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, errHash
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errHash
	}
	if n > uint64(most) {
		unit := ""
		if name == "m=" {
			unit = " KiB"
		}
		return 0, fmt.Errorf("%s is more than the %d%s that one password may cost: make the hash anew with `moorgate password`", quoteShort(text), most, unit)
	}
	return uint32(n), nil
}

// readPassword reads a user's password setting: the hash, or the file that
// holds it.
func readPassword(setting string) (*argonHash, error) {
	path, ok := strings.CutPrefix(setting, "file:")
	if !ok {
		return parseArgon(setting)
	}
	text, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	h, err := parseArgon(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}
