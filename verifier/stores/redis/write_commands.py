"""The commands of the ACL category `write` of Redis 7.0 and Valkey 9.1, with their smallest number of words (COMMAND INFO)."""

from __future__ import annotations

_LISTED = """
append/3 bitfield/2 bitop/4 blmove/6 blmpop/5 blpop/3 brpop/3 brpoplpush/4 bzmpop/5 bzpopmax/3 bzpopmin/3
cluster|flushslot/3 copy/3 decr/2 decrby/3 del/2 delifeq/3 expire/3 expireat/3 flushall/1 flushdb/1 function|delete/3
function|flush/2 function|load/3 function|restore/3 geoadd/5 georadius/6 georadiusbymember/5 geosearchstore/8 getdel/2
getex/2 getset/3 hdel/3 hexpire/6 hexpireat/6 hgetdel/5 hgetex/5 hincrby/4 hincrbyfloat/4 hmset/4 hpersist/5 hpexpire/6
hpexpireat/6 hset/4 hsetex/6 hsetnx/4 incr/2 incrby/3 incrbyfloat/3 linsert/5 lmove/5 lmpop/4 lpop/2 lpush/3 lpushx/3
lrem/4 lset/4 ltrim/4 migrate/6 move/3 mset/3 msetex/4 msetnx/3 persist/2 pexpire/3 pexpireat/3 pfadd/2 pfdebug/3
pfmerge/2 psetex/4 rename/3 renamenx/3 restore/4 restore-asking/4 rpop/2 rpoplpush/3 rpush/3 rpushx/3 sadd/3
sdiffstore/3 set/3 setbit/4 setex/4 setnx/3 setrange/4 sinterstore/3 smove/4 sort/2 spop/2 srem/3 sunionstore/3 swapdb/3
unlink/2 xack/4 xadd/5 xautoclaim/6 xclaim/6 xdel/3 xgroup|create/5 xgroup|createconsumer/5 xgroup|delconsumer/5
xgroup|destroy/4 xgroup|setid/5 xreadgroup/7 xsetid/3 xtrim/4 zadd/4 zdiffstore/4 zincrby/4 zinterstore/4 zmpop/4
zpopmax/2 zpopmin/2 zrangestore/5 zrem/3 zremrangebylex/4 zremrangebyrank/4 zremrangebyscore/4 zunionstore/4
"""

WRITE_COMMANDS: dict[str, int] = {
    name: int(words) for name, _, words in (item.partition("/") for item in _LISTED.split())
}
