"""What a published data set says of itself: the site's section `dataset:`, for exports that have a place for it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .i18n import _


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contributor(_Strict):
    """A person or organisation. role: as Camtrap DP 1.0.2 has them. path: a web address."""

    name: str = Field(min_length=1)
    email: str = ""
    role: Literal["contact", "principalInvestigator", "rightsHolder", "publisher", "contributor"] = "contributor"
    organisation: str = ""
    path: str = ""

    @field_validator("email")
    @classmethod
    def _is_email(cls, email: str) -> str:
        name, at, domain = email.partition("@")
        if email and not (name and at and "." in domain and " " not in email):
            raise ValueError(_("{email!r} is no email address").format(email=email))
        return email


class Dataset(_Strict):
    """The data set. What is left out is taken from the site, or not said.

    licence_data, licence_media: short names such as CC0-1.0 or CC-BY-4.0 (https://opendefinition.org/licenses/), both
    or neither. media_public: whether pictures may be reached by anybody; those with people never are. sampling_design,
    individual_animals (whether animals are told apart one by one): as Camtrap DP 1.0.2 has them. homepage: a web
    address. citation: how the data set is to be cited.
    """

    id: str = ""
    title: str = ""
    description: str = ""
    version: str = ""
    keywords: tuple[str, ...] = ()
    homepage: str = ""
    citation: str = ""
    licence_data: str = ""
    licence_media: str = ""
    media_public: bool = False
    contributors: tuple[Contributor, ...] = ()
    project_id: str = ""
    project: str = ""
    acronym: str = ""
    sampling_design: Literal[
        "simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic"
    ] = "opportunistic"
    individual_animals: bool = False

    @field_validator("homepage")
    @classmethod
    def _is_address(cls, page: str) -> str:
        if page and not (page.startswith(("https://", "http://")) and page.isprintable() and " " not in page):
            raise ValueError(_("{page!r} is no web address: write https://…").format(page=page[:80]))
        return page

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Dataset":
        if bool(self.licence_media) != bool(self.licence_data):
            raise ValueError(_("licence_data and licence_media: name both or neither"))
        return self
