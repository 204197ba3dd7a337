-- Replaces, makes or removes a document if it is the one that the caller knows.
--
-- KEYS   1 the hash of documents: "version", and for each name "<version> <content>"
-- ARGV   1 name's field  2 the version known, 0: there is none  3 content, empty: remove
--        4 documents that there may be
-- Result {"written", version} | {"other", the version there, 0: none} | {"full", documents}
-- Guarantee: nothing is written unless the answer says so. Versions only rise, also over a document that was removed
-- and made again, and over lost writes.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
local version = stored and string.match(stored, '^%d+') or '0'
if version ~= ARGV[2] then return { 'other', version } end
if not stored and ARGV[3] ~= '' then
  local documents = redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], 'version')
  if documents >= tonumber(ARGV[4]) then return { 'full', string.format('%.0f', documents) } end
end
local time = redis.call('TIME')
local last = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
local next = string.format('%.0f', math.max(last + 1, tonumber(time[1]) * 1000000 + tonumber(time[2])))
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HSET', KEYS[1], 'version', next)
else
  redis.call('HSET', KEYS[1], 'version', next, ARGV[1], next .. ' ' .. ARGV[3])
end
return { 'written', next }
