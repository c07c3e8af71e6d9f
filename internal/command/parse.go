// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"flag"
	"fmt"
)

// Parse reads the arguments of a program that takes flags only. An argument that is none
// is refused: the flags after it would not be read, and the program would start with
// settings that nobody asked for. version reports whether only the version is asked for.
func Parse(flags *flag.FlagSet, arguments []string) (version bool, err error) {
	flags.BoolVar(&version, "version", false, "Print the version, the commit and the version of Go, and end.")
	if err := flags.Parse(arguments); err != nil {
		return false, err
	}
	if flags.NArg() > 0 {
		return false, unexpected(flags.Arg(0))
	}
	return version, nil
}

func unexpected(argument string) error {
	hint := `its value is joined to it by "=", as in --name=value`
	switch argument {
	case "true", "false":
		hint = `its value is joined to it by "=", as in --name=` + argument
	case "version":
		hint = "--version prints the version"
	}
	return fmt.Errorf("unexpected argument %q: every setting is a flag; %s", argument, hint)
}
