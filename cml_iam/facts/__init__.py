"""Facts about AWS: services, actions, resource types, condition keys, request contexts, ARNs."""

from typing import TYPE_CHECKING

from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.facts._arns import (
        ANY,
        DOMAINS,
        EXAMPLE_ACCOUNT,
        EXAMPLE_IDS,
        EXAMPLE_REGIONS,
        OTHER_ACCOUNT,
        ArnPattern,
        all_regions,
        arn_pattern,
        covers,
        first_region,
        known_regions,
        meant_region,
        opt_in_regions,
        overlap,
        partition_of,
        service_principal,
    )
    from cml_iam.facts._context import never_sent, principal_account, principal_arn, sent_context
    from cml_iam.facts._keys import Keys, global_keys, several_values
    from cml_iam.facts._partitions import PARTITIONS, Partition
    from cml_iam.facts._requests import (
        LATER,
        OPERATORS,
        REFERENCE,
        REGION,
        REQUEST_TAG,
        RESOURCE_TAG,
        TAG_KEYS,
        TAGGING,
        TWINS,
        Assumption,
        KnownKey,
        every_name,
        id_of,
        is_region,
        known_key,
        names_of,
        never_with,
        only_with,
        region_is_of_resource,
        region_of_endpoint,
        same_key,
        singular_actions,
        twins,
        under_names,
    )
    from cml_iam.facts._service import (
        EXACT_SERVICES,
        MAX_KEY_AGE,
        Action,
        Service,
        Target,
        action_problem,
        is_provider_key,
        is_unknown_key,
        key_hint,
        key_type,
        known_keys,
        published,
        service,
        services,
        services_without,
        updated,
    )
    from cml_iam.policy import FIELDS

__getattr__ = later(__name__)
