/**
 * What a real process says on standard error, without the lines of steps that took over a second
 * (`reading tree  200 files  1.2 s`): which of them there are depends on the machine.
 */
export function withoutSteps(stderr: string): string {
  return stderr.replace(/^(?!warning: |seal: ).* {2}\d+\.\d s\n/gm, "");
}
