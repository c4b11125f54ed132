// Validates in-toto statements with SLSA provenance, each in a file, as in-toto's own Go module does.
package main

import (
	"fmt"
	"log"
	"os"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	statement "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

func validate(path string) error {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var made statement.Statement
	if err := protojson.Unmarshal(bytes, &made); err != nil {
		return err
	}
	if err := made.Validate(); err != nil {
		return err
	}
	if made.GetPredicateType() != "https://slsa.dev/provenance/v1" {
		return fmt.Errorf("its predicate is %s", made.GetPredicateType())
	}
	predicate, err := protojson.Marshal(made.GetPredicate())
	if err != nil {
		return err
	}
	var how provenance.Provenance
	if err := protojson.Unmarshal(predicate, &how); err != nil {
		return err
	}
	return how.Validate()
}

func main() {
	for _, path := range os.Args[1:] {
		if err := validate(path); err != nil {
			log.Fatalf("%s: %v", path, err)
		}
		fmt.Println(path + ": valid")
	}
}
