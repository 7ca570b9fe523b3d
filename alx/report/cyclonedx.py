"""CycloneDX 1.6 in JSON, as much of it as a bill of materials of a model needs; the Python library has no model card.

Knows the format's fields; knows no model and no site. Every text may have come from a peer: what is not printable in it
becomes an escape here, and its length is bounded. Source: the JSON schema of CycloneDX 1.6, which ECMA-424 standardises.
"""

import hashlib
import json
import uuid
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasGenerator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from alx.bundle.signature import Sha256
from alx.errors import escape
from alx.records import Strict

MAX_TEXT = 2000  # characters: fifty names, or a sentence with one
Text = Annotated[str, AfterValidator(lambda text: escape(text, MAX_TEXT))]
Ref = Annotated[str, Field(pattern=r"^[a-z0-9:]{1,100}$")]
"""What a component is called within the file; by the schema it must not look like a link to another file."""


class _Record(Strict):
    """Written with the names that the schema has."""

    model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel))


class Hash(_Record):
    """The digest of a file."""

    alg: Literal["SHA-256"] = "SHA-256"
    content: Sha256


class Property(_Record):
    """What the schema has no field for."""

    name: Annotated[str, Field(pattern=r"^alx:[a-z0-9:-]{1,60}$")]
    value: Text


class Contents(_Record):
    """What is told of data."""

    properties: list[Property]


class Data(_Record):
    """Data that somebody has."""

    type: Literal["dataset"] = "dataset"
    name: Text
    contents: Contents


class PublicKey(_Record):
    """A key that signatures are verified with."""

    type: Literal["public-key"] = "public-key"
    id: Sha256
    state: Literal["active", "deactivated"]
    format: Literal["PEM"] = "PEM"


class CryptoProperties(_Record):
    """That a component is a key."""

    asset_type: Literal["related-crypto-material"] = "related-crypto-material"
    related_crypto_material_properties: PublicKey


class Approach(_Record):
    """How it learned."""

    type: Literal["supervised"] = "supervised"


class DataRef(_Record):
    """A component of data, by its name within the file."""

    ref: Ref


class Form(_Record):
    """What goes in, or comes out."""

    format: Text


class Parameters(_Record):
    """How the model is made."""

    approach: Approach | None = None
    task: Text | None = None
    model_architecture: Text | None = None
    datasets: list[DataRef]
    inputs: list[Form] | None = None
    outputs: list[Form] | None = None


class Metric(_Record):
    """A number that was measured."""

    type: Text
    value: Text
    slice: Text


class Analysis(_Record):
    """What was measured."""

    performance_metrics: list[Metric]


class Considerations(_Record):
    """What whoever uses the model should know."""

    technical_limitations: list[Text]


class ModelCard(_Record):
    """The model, for people."""

    model_parameters: Parameters
    quantitative_analysis: Analysis
    considerations: Considerations


class LicenseName(_Record):
    """A licence by its name."""

    name: Text
    acknowledgement: Literal["declared"] = "declared"


class License(_Record):
    """A licence, as somebody named it."""

    license: LicenseName


class Pedigree(_Record):
    """What the model came out of."""

    ancestors: list["Component"]
    notes: Text


class Component(_Record):
    """A thing that is told of."""

    type: Literal["machine-learning-model", "file", "data", "cryptographic-asset", "application", "framework"]
    mime_type: Literal["application/toml", "text/x-python"] | None = Field(default=None, serialization_alias="mime-type")
    bom_ref: Ref | None = Field(default=None, serialization_alias="bom-ref")
    name: Text
    version: Text | None = None
    hashes: list[Hash] | None = None
    licenses: list[License] | None = None
    pedigree: Pedigree | None = None
    model_card: ModelCard | None = None
    data: list[Data] | None = None
    crypto_properties: CryptoProperties | None = None
    properties: list[Property] | None = None


class Tools(_Record):
    """What wrote the file."""

    components: list[Component]


class Metadata(_Record):
    """What the file is about."""

    timestamp: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+00:00$")] | None
    tools: Tools
    component: Component


class Dependency(_Record):
    """Of what a component is made."""

    ref: Ref
    depends_on: list[Ref]


class Bom(_Record):
    """The whole file, but for its serial number; see `text`."""

    schema_: Literal["http://cyclonedx.org/schema/bom-1.6.schema.json"] = Field(
        default="http://cyclonedx.org/schema/bom-1.6.schema.json", serialization_alias="$schema"
    )
    bom_format: Literal["CycloneDX"] = "CycloneDX"
    spec_version: Literal["1.6"] = "1.6"
    version: Literal[1] = 1
    metadata: Metadata
    components: list[Component]
    dependencies: list[Dependency]


def text(bom: Bom) -> bytes:
    """The file: JSON in ASCII, the same values the same bytes.

    Its serial number is the UUID of version 5 (RFC 9562) of `sha256:` and the digest of the same file without that line.
    """
    values = bom.model_dump(by_alias=True, exclude_none=True)
    digest = hashlib.sha256(_json(values)).hexdigest()
    number = uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{digest}")
    head = {name: values.pop(name) for name in ("$schema", "bomFormat", "specVersion")}
    return _json(head | {"serialNumber": f"urn:uuid:{number}"} | values)


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode("ascii")
