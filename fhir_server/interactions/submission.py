"""
A submitted Bundle, prepared in two steps: a plain function of its text, of the keys, of the rules.

1. The text is read: what each entry asks for, without its resource. Whoever submits it decides with
   that who may do it, under which keys, and looks up what only the database knows.
2. The entries are prepared under these keys: references between them resolved, each resource judged,
   indexed and made ready to be stored.

It may be done where the requests are served or in another process (fhir_server/preparing): the
answers and the refusals are the same.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from fhir_server.interactions.entries import Asked, asked, require_envelope, within, without_resource
from fhir_server.interactions.prepare import Prepared, prepare, require_id
from fhir_server.interactions.references import resolved, unresolved
from fhir_server.r4.bundle_text import BundleText
from fhir_server.r4.errors import FhirError, Invalid, Issue, TooCostly, Unprocessable
from fhir_server.r4.media import Format
from fhir_server.r4.resource import Key, Resource, to_text
from fhir_server.r4.xml import from_xml
from fhir_server.r4.zones import zone_of
from fhir_server.search.values.words import FullText

Kind = Literal["batch", "transaction"]

ISSUES_MAX: Final = 1_000
"""Of one refusal. A transaction that breaks more rules is not looked at further."""
KEPT_BYTES_MAX: Final = 4 << 20
"""A longer text is not kept as objects, which take some six times its room: its entries are read twice."""


class Rules(msgspec.Struct, frozen=True):
    """What the server's settings say of Bundles and the resources in them."""

    base_url: str
    resource_bytes_max: int
    entries_max: int
    full_text: FullText = "off"
    time_zone: str = "UTC"


class Order(msgspec.Struct, frozen=True, array_like=True):
    """
    Of a writing entry: the key that it writes.

    `has_content` unless it deletes; `carries_id` when the resource must have the id of the key. What is
    wanted `raw` is given back as text, only its references resolved: a patch, or what a condition
    is still to decide on.
    """

    index: int
    key: Key
    has_content: bool = True
    carries_id: bool = False
    raw: bool = False


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """What became of the entry at `index`: it can be written."""

    index: int
    prepared: Prepared


class Raw(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The resource of the entry at `index`, as JSON text."""

    index: int
    text: bytes


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What became of the entry at `index`: it must not; `kind` names the FhirError, as of its resource."""

    index: int
    kind: str
    told: str
    issues: tuple[Issue, ...]

    @classmethod
    def of(cls, refusal: FhirError, index: int) -> Refused:
        """A refusal as it can be sent to another process."""
        return cls(index, type(refusal).__name__, str(refusal), refusal.issues)

    def refusal(self) -> FhirError:
        """The FhirError that it was made of."""
        return _KINDS[self.kind](self.told, issues=self.issues)


Item = Ready | Refused | Raw
"""What became of one order."""


class SubmittedBundle:
    """
    A Bundle that has been read: `kind`, and what each entry has `asked`.

    Raises Invalid when it is no batch and no transaction, or not written in `format`; TooCostly with too
    many entries; Unprocessable with each rule that it breaks around its resources.
    """

    def __init__(
        self,
        text: bytes,
        rules: Rules,
        format: Format = Format.JSON,
        *,
        kept_bytes_max: int = KEPT_BYTES_MAX,
    ) -> None:
        self._rules = rules
        self.asked: list[Asked] = []
        content = text if format is Format.JSON else from_xml(text)
        self._text = BundleText(content, self._sketch, kept_bytes_max=kept_bytes_max)
        self.kind = _kind_of(self._text.envelope)
        _require_requests(self.asked)
        require_envelope(self._text.envelope)
        # It is as large as the Bundle has entries, and nobody asks for it any more.
        self._text.envelope = {}

    def _sketch(self, index: int, entry: Any) -> Any:
        if index >= self._rules.entries_max:
            raise TooCostly(f"The Bundle has more than {self._rules.entries_max} entries", "Bundle.entry")
        self.asked.append(asked(entry))
        return without_resource(entry)

    def prepared(self, orders: Sequence[Order], others: Mapping[str, str] | None = None) -> Iterator[Item]:
        """
        What becomes of the entries in `orders`; with `others`, of a transaction, their references resolved.

        `others` has addresses that are not the fullUrl of an entry, and the `Type/id` that each stands
        for. A transaction is given up when nothing can come of it any more: after what is
        refused for another reason than the rules of its resource, and after ISSUES_MAX.
        """
        if others is None:
            yield from map(self._prepared, orders)
            return
        addresses = {**others, **dict(self._addresses(orders))}
        issues = 0
        for order in orders:
            if not order.has_content:
                continue
            item = self._prepared(order, addresses)
            if isinstance(item, Refused):
                issues += len(item.issues)
                yield item
                if item.kind != Unprocessable.__name__ or issues >= ISSUES_MAX:
                    return
            elif not issues:
                yield item

    def _prepared(self, order: Order, addresses: Mapping[str, str] | None = None) -> Item:
        try:
            resource = self._text.entry(order.index)["resource"]
            if addresses is not None:
                resource = _resolved(resource, addresses)
            if order.raw:
                return Raw(order.index, to_text(resource))
            if order.carries_id:
                require_id(resource, order.key)
            rules = self._rules
            return Ready(
                order.index,
                prepare(
                    resource,
                    order.key,
                    base_url=rules.base_url,
                    zone=zone_of(rules.time_zone),
                    resource_bytes_max=rules.resource_bytes_max,
                    full_text=rules.full_text,
                ),
            )
        except FhirError as refusal:
            return Refused.of(refusal, order.index)

    def _addresses(self, orders: Sequence[Order]) -> Iterator[tuple[str, str]]:
        """By which addresses entries may refer to the ones in `orders`, and what they stand for."""
        base = self._rules.base_url + "/"
        for order in orders:
            full_url = self.asked[order.index].full_url
            if full_url is None:
                continue
            yield full_url, str(order.key)
            if full_url.startswith(base):
                yield full_url.removeprefix(base), str(order.key)


def _kind_of(envelope: Resource) -> Kind:
    kind = envelope.get("type")
    if envelope.get("resourceType") != "Bundle" or kind not in ("batch", "transaction"):
        raise Invalid("A Bundle of type `batch` or `transaction` was expected", "Bundle.type")
    return "batch" if kind == "batch" else "transaction"


def _require_requests(asked: Sequence[Asked]) -> None:
    """R4's invariant bdl-3 would say the same of the Bundle as a whole."""
    for index, one in enumerate(asked):
        if one.request is None:
            raise within(Invalid("The entry has no request", "request"), index)


def _resolved(resource: Resource, addresses: Mapping[str, str]) -> Resource:
    found = resolved(resource, addresses)
    left_over = next(unresolved(found), None)
    if left_over is not None:
        raise Invalid("The reference names an entry that is not in this Bundle", left_over)
    return found


_KINDS: Final = {kind.__name__: kind for kind in FhirError.__subclasses__()}
