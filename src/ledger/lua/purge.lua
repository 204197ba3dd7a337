#!lua flags=allow-oom
-- Retires the stale ones among some series of an account.
--
-- KEYS   1 :meta  2 :tenants  3 :totals  4 :series  5 :labels
-- ARGV   1 format  2 installation  3 member of :tenants  4 seconds of shard clock until stale
--        5 cursor, "0" at the start  6 about how many series to look at
-- Result {1, cursor ("0": all were looked at), series purged}
--        {0}: no state
--        {-1, format, installation}: another one's
--        {-2, what}: a value that cannot be read
-- Guarantee: series + overflow + retired stays what it was. It removes before it adds, so it may run when the server
-- is out of memory, and frees some.

--#include shard.lua

local shard, refusal = openShard()
if not shard then
  return refusal
end
if not redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  return { 1, '0', 0 }
end

local staleS = tonumber(ARGV[4])
local retired = parseVector(redis.call('HGET', KEYS[3], 'retired'))
local packing = '<I4I4' .. string.rep('d', #retired)
local scan = redis.call('HSCAN', KEYS[4], ARGV[5], 'COUNT', ARGV[6])
local stale, seen = {}, {}
for i = 1, #scan[2], 2 do
  local id, packed = scan[2][i], scan[2][i + 1]
  if #packed ~= struct.size(packing) then
    return { -2, 'a series of ' .. ARGV[3] .. ' has ' .. #packed .. ' bytes' }
  end
  if not seen[id] and seconds(shard) - struct.unpack('<I4', packed) > staleS then
    local amounts = { struct.unpack(packing, packed) }
    for j = 1, #retired do
      retired[j] = retired[j] + amounts[2 + j]
    end
    stale[#stale + 1] = id
    seen[id] = true
  end
end
if #stale > 0 then
  inChunks('HDEL', KEYS[4], stale)
  inChunks('HDEL', KEYS[5], stale)
  redis.call('HSET', KEYS[3], 'retired', formatVector(retired), 'changed', text(seconds(shard)))
  redis.call('ZADD', KEYS[2], text(shard.counter), ARGV[3])
  redis.call('HSET', KEYS[1], 'counter', text(shard.counter))
end
return { 1, scan[1], #stale }
