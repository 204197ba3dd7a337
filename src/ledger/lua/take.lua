#!lua flags=allow-oom
-- Takes the lease of a shard where it is free, or was released to the taker.
--
-- KEYS   1 :meta  2 :owner
-- ARGV   1 format  2 installation  3 replica  4 token  5 ms
-- Result {1, 1 if it had been released to this replica, else 0, change counter}
--        {2}: held by another, or released to another
--        {0}: no state
--        {-1, format, installation}: another one's
-- Guarantee: one holder at a time. The change counter moves with each take. May run when the server is out of memory:
-- the key and its fields are few, and publishing goes on.

--#include shard.lua

local shard, refusal = openShard()
if not shard then
  return refusal
end
local owner = redis.call('GET', KEYS[2])
local released = owner == 'released ' .. ARGV[3]
if owner and not released and owner ~= 'held ' .. ARGV[4] then
  return { 2 }
end
redis.call('SET', KEYS[2], 'held ' .. ARGV[4], 'PX', ARGV[5])
redis.call('HSET', KEYS[1], 'counter', text(shard.counter))
return { 1, released and 1 or 0, text(shard.counter) }
