#!lua flags=allow-oom
-- Prolongs a lease.
--
-- KEYS   1 :meta  2 :owner
-- ARGV   1 format  2 installation  3 token  4 ms
-- Result {1, 1 if the token held it, else 0}
--        {0}: no state
--        {-1, format, installation}: another one's
-- Guarantee: a lease that ran out is not revived. The change counter moves with each renewal. May run when the server
-- is out of memory.

--#include shard.lua

local shard, refusal = openShard()
if not shard then
  return refusal
end
if redis.call('GET', KEYS[2]) ~= 'held ' .. ARGV[3] then
  return { 1, 0 }
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('HSET', KEYS[1], 'counter', text(shard.counter))
return { 1, 1 }
