// verify-event-log LOG PCR=HEX...: go-attestation replays an event log to these values of the SHA-256 bank.
//
// It prints what go-attestation makes of the log: whether Secure Boot was on, and the types of the events of each PCR that was given.
package main

import (
	"crypto"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/google/go-attestation/attest"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string, values []string) error {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	log, err := attest.ParseEventLog(bytes)
	if err != nil {
		return err
	}
	var pcrs []attest.PCR
	for _, value := range values {
		number, digest, _ := strings.Cut(value, "=")
		index, err := strconv.Atoi(number)
		if err != nil {
			return err
		}
		content, err := hex.DecodeString(digest)
		if err != nil {
			return err
		}
		pcrs = append(pcrs, attest.PCR{Index: index, Digest: content, DigestAlg: crypto.SHA256})
	}
	events, err := log.Verify(pcrs)
	if err != nil {
		return err
	}
	state, err := attest.ParseSecurebootState(events)
	if err != nil {
		return err
	}
	fmt.Printf("SecureBoot %t\n", state.Enabled)
	for _, event := range events {
		fmt.Printf("%d %s\n", event.Index, event.Type)
	}
	return nil
}
