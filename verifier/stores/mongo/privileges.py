"""What a MongoDB user may do beyond reading, as far as the server shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from verifier.stores.errors import Denied
from verifier.stores.mongo.client import MongoClient
from verifier.stores.protocols import Privilege

# The actions of the built-in roles read, readAnyDatabase and clusterMonitor, and of every user on its own account.
READ_ACTIONS = frozenset(
    """
    find changeStream collStats dbStats dbHash indexStats listCollections listIndexes listSearchIndexes planCacheRead
    listDatabases killCursors useUUID listCachedAndActiveUsers viewRole viewUser
    checkFreeMonitoringStatus connPoolStats getClusterParameter getCmdLineOpts getDatabaseVersion getDefaultRWConcern getLog
    getParameter getShardMap getShardVersion hostInfo inprog listSessions listShards netstat operationMetrics queryStatsRead
    replSetGetConfig replSetGetStatus serverStatus shardingState top validate checkMetadataConsistency listClusterCatalog
    """.split()
)
WRITE_ACTIONS = frozenset(
    """
    anyAction insert update remove bypassDocumentValidation createCollection dropCollection dropDatabase createIndex dropIndex
    renameCollection renameCollectionSameDB collMod convertToCapped compact emptycapped enableSharding reIndex
    createSearchIndexes dropSearchIndex updateSearchIndex createUser dropUser createRole dropRole grantRole revokeRole
    grantPrivilegesToRole revokePrivilegesFromRole changePassword changeCustomData changeOwnPassword changeOwnCustomData
    setParameter setClusterParameter setFeatureCompatibilityVersion shutdown fsync killop killAnyCursor killAnySession
    impersonate internal applyOps oplogTruncate replSetConfigure replSetStateChange replSetReconfig resync
    addShard removeShard moveChunk splitChunk splitVector shardCollection enableProfiler storageDetails
    setFreeMonitoring planCacheWrite planCacheIndexFilter closeAllDatabases cpuProfiler invalidateUserCache logRotate
    setDefaultRWConcern setUserWriteBlockMode bypassWriteBlockingMode dropConnections touch repairDatabase
    """.split()
)
READ_ROLES = frozenset({"read", "readAnyDatabase", "clusterMonitor"})
WRITE_ROLES = frozenset(
    """
    readWrite readWriteAnyDatabase dbAdmin dbAdminAnyDatabase dbOwner userAdmin userAdminAnyDatabase root __system
    clusterAdmin clusterManager hostManager backup restore enableSharding
    """.split()
)


async def judge_privileges(client: MongoClient) -> Sequence[Privilege]:
    """Compare the privileges of this connection with those that reading needs."""
    try:
        answer = await client.command({"connectionStatus": 1, "showPrivileges": True})
    except Denied as error:
        return [Privilege(client.label, "read", "missing", str(error))]
    info = answer.get("authInfo") or {}
    if not info.get("authenticatedUsers"):
        return [
            Privilege(
                client.label,
                "can it write?",
                "unknown",
                "the server has no authentication: only the verifier's own allow-list prevents writes",
            )
        ]
    name = ", ".join(f"{user['user']}@{user['db']}" for user in info["authenticatedUsers"])
    granted = info.get("authenticatedUserPrivileges") or []
    if granted:
        return _by_actions(client, name, granted)
    return _by_roles(client, name, info.get("authenticatedUserRoles") or [])


def _by_actions(client: MongoClient, name: str, granted: Iterable[Mapping[str, Any]]) -> Sequence[Privilege]:
    """Judge by actions. A user may change its own password only where a role allows it."""
    writing: dict[str, None] = {}
    unknown: dict[str, None] = {}
    seen: set[str] = set()
    for privilege in granted:
        resource = privilege.get("resource") or {}
        actions = set(privilege.get("actions") or [])
        if _covers(resource, client.config.database):
            seen |= actions
        for action in sorted(actions - READ_ACTIONS):
            shown = f"{action} on {_resource(resource)}"
            (writing if action in WRITE_ACTIONS else unknown)[shown] = None
    found = []
    if writing:
        found.append(Privilege(client.label, "writing actions", "too_many", f"{name} may {_some(list(writing))}"))
    if unknown:
        found.append(
            Privilege(
                client.label, "actions the verifier does not know", "unknown", f"{name} may {_some(list(unknown))}"
            )
        )
    if not seen & {"find", "anyAction"}:
        found.append(
            Privilege(client.label, "find", "missing", f"grant role read on {client.config.database} to {name}")
        )
    elif not seen & {"changeStream", "anyAction"}:
        found.append(
            Privilege(
                client.label, "changeStream", "notice", f"without it only the traces of writes are visible; {name}"
            )
        )
    return found or [Privilege(client.label, "read only", "ok", f"{name} has no action that writes")]


def _by_roles(client: MongoClient, name: str, roles: Iterable[Mapping[str, Any]]) -> Sequence[Privilege]:
    """Judge by role names, where the server does not show actions."""
    shown = [(str(role["role"]), f"{role['role']} on {role['db']}") for role in roles]
    if not shown:
        return [Privilege(client.label, "read", "missing", f"{name} has no role; grant role read")]
    if writing := [text for role, text in shown if role in WRITE_ROLES]:
        return [Privilege(client.label, "writing roles", "too_many", f"{name} has {_some(writing)}")]
    if unknown := [text for role, text in shown if role not in READ_ROLES]:
        return [Privilege(client.label, "custom roles", "unknown", f"{name} has {_some(unknown)}")]
    return [
        Privilege(client.label, "read only", "ok", f"{name} has {_some([text for _, text in shown])} and nothing else")
    ]


def _covers(resource: Mapping[str, Any], database: str) -> bool:
    """Whether a privilege covers the ordinary collections of a database."""
    return bool(resource.get("anyResource")) or resource.get("db") in ("", database)


def _resource(resource: Mapping[str, Any]) -> str:
    if resource.get("cluster"):
        return "the cluster"
    if resource.get("anyResource"):
        return "everything"
    return f"{resource.get('db') or '*'}.{resource.get('collection') or '*'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
