# The SARIF of `seal lint` for GitHub. Paths and messages come from an image, so all that has a meaning for GitHub is escaped.

def findings: [.runs[] | (.automationDetails.id // "" | ltrimstr("seal/") | rtrimstr("/")) as $platform | .results[] | {
  level, rule: .ruleId, text: .message.text, path: .locations[0].physicalLocation.artifactLocation.uri, platform: $platform
}];

# Workflow commands: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
def data: gsub("%"; "%25") | gsub("\r"; "%0D") | gsub("\n"; "%0A");
def property: data | gsub(":"; "%3A") | gsub(","; "%2C");
def annotations: findings[]
  | {error: "error", warning: "warning", note: "notice"}[.level] as $command
  | "::\($command) file=\(.path | property),title=\("seal: \(.rule)" | property)::\(.text | data)";

# Text for a cell of a table in Markdown: nothing in it is markup.
def cell: gsub("[\\x00-\\x1f\\x7f]"; " ") | gsub("(?<c>[&<>\"'\\\\`*_\\[\\]()~|#!])"; "&#\(.c | explode[0]);");
def summary($report; $passed):
  findings as $found
  | ($report.index // $report.image) as $image
  | "## \(if $passed then "Sealed" else "Sealed, and not fit to be released" end)",
    "",
    "| | |",
    "| --- | --- |",
    "| from | \($image.from | cell) |",
    "| to | \($image.to | cell) |",
    "| digest | \($image.digest | cell) |",
    "| findings | \([("error", "warning", "note") as $level | "\([$found[] | select(.level == $level)] | length) \($level)s"] | join(", ")) |",
    "",
    if $found == [] then empty else
      "| | rule | path | |",
      "| --- | --- | --- | --- |",
      ($found[:200][] | "| \(.level) | \(.rule | cell) | \([.platform, .path | select(. != "")] | join(" ") | cell) | \(.text | cell) |"),
      if ($found | length) > 200 then "| | | | and \(($found | length) - 200) more |" else empty end,
      ""
    end;
