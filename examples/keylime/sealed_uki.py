"""A measured boot policy of Keylime for machines that boot sealed UKIs; README.md says how it is used."""

import typing

from keylime.mba.elchecking import policies, tests

BANK = "sha256"
FIRMWARE_BLOBS = ("EV_EFI_PLATFORM_FIRMWARE_BLOB", "EV_EFI_PLATFORM_FIRMWARE_BLOB2")

Event = typing.Dict[str, typing.Any]


def digests(events: typing.Iterable[Event]) -> typing.List[str]:
    return [digest["Digest"] for event in events for digest in event["Digests"] if digest["AlgorithmId"] == BANK]


def expected(reference: typing.Iterable[typing.Dict[str, str]]) -> typing.List[str]:
    return [digest[BANK][len("0x") :] for digest in reference]


class SealedUki(tests.Test):
    """Compares digests only: Keylime replays these against the quote, but not what the log says that they are of."""

    def __init__(self, refstate: typing.Any):
        super().__init__()
        self.refstate = refstate

    def why_not(self, globs: tests.Globals, subject: tests.Data) -> str:
        events = [event for event in typing.cast(typing.Any, subject)["events"] if event["EventType"] != "EV_NO_ACTION"]
        return self.other_firmware(events) or self.other_kernel(events)

    def other_firmware(self, events: typing.List[Event]) -> str:
        if "scrtm_and_bios" not in self.refstate:
            return ""
        early = [event for event in events if event["PCRIndex"] == 0]
        crtm = digests(event for event in early if event["EventType"] == "EV_S_CRTM_VERSION")
        blobs = digests(event for event in early if event["EventType"] in FIRMWARE_BLOBS)
        for known in self.refstate["scrtm_and_bios"]:
            if crtm == expected([known["scrtm"]]) and blobs == expected(known["platform_firmware"]):
                return ""
        return "is of another firmware"

    def other_kernel(self, events: typing.List[Event]) -> str:
        """One kernel has to fit as a whole, with all events in the registers that it names, in order."""
        reasons = []
        for kernel in self.refstate["kernels"]:
            other = [
                pcr
                for pcr, reference in kernel["events"].items()
                if digests(event for event in events if event["PCRIndex"] == int(pcr)) != expected(reference)
            ]
            if not other:
                return ""
            reasons.append(f"{kernel['uki']} in PCR {', '.join(other)}")
        return f"differs from {' and from '.join(reasons)}"


class Policy(policies.Policy):
    def get_relevant_pcrs(self) -> typing.FrozenSet[int]:
        """Without PCR 11, which systemd extends when the firmware's log has ended; PCR 4 covers the UKI as a whole."""
        return frozenset({0, 4, 7, 12})

    def refstate_to_test(self, refstate: policies.RefState) -> tests.Test:
        if not isinstance(refstate, dict) or not refstate.get("kernels"):
            raise Exception("the reference state has no kernels, so nothing could fit it")
        return SealedUki(refstate)


policies.register("sealed-uki", Policy())
