-- Ends the life of a shard. The keys of its accounts stay behind, listed under :forgotten, for forget-account.lua.
--
-- KEYS   1 :meta  2 :markers  3 :tenants  4 :owner  5 :forgotten  6 :moves
-- ARGV   1 format  2 installation
-- Result {1}: it has no state any more
--        {0}: it had none
--        {2}: accounts of an earlier life are still listed; delete those first
--        {-1, format, installation}: another one's
-- Guarantee: no instant at which the shard is there without some of its accounts.

--#include shard.lua

local shard, refusal = openShard()
if not shard then
  return refusal
end
if redis.call('EXISTS', KEYS[5]) == 1 then
  return { 2 }
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('RENAME', KEYS[3], KEYS[5])
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4], KEYS[6])
return { 1 }
