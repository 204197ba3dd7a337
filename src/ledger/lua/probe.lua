-- Tries every command that the scripts use.
--
-- KEYS   1, 2 two keys of no other use, in one slot
-- Result {command, error, ...} of those that failed
-- Guarantee: both keys are gone afterwards.

local tries = {
  { 'TIME' }, { 'EXISTS', KEYS[1] },
  { 'HSET', KEYS[1], 'a', '1' }, { 'HSETNX', KEYS[1], 'b', '1' }, { 'HINCRBY', KEYS[1], 'a', '1' },
  { 'HGET', KEYS[1], 'a' }, { 'HMGET', KEYS[1], 'a' }, { 'HGETALL', KEYS[1] }, { 'HEXISTS', KEYS[1], 'a' },
  { 'HLEN', KEYS[1] }, { 'HKEYS', KEYS[1] }, { 'HSCAN', KEYS[1], '0' }, { 'HDEL', KEYS[1], 'a' },
  { 'RENAME', KEYS[1], KEYS[2] }, { 'UNLINK', KEYS[2] },
  { 'ZADD', KEYS[1], '1', 'a' }, { 'ZCARD', KEYS[1] }, { 'ZSCORE', KEYS[1], 'a' }, { 'ZMSCORE', KEYS[1], 'a' },
  { 'ZRANGE', KEYS[1], '0', '-1' }, { 'ZRANGEBYSCORE', KEYS[1], '0', '1' },
  { 'ZREMRANGEBYSCORE', KEYS[1], '2', '3' }, { 'ZREM', KEYS[1], 'b' }, { 'DEL', KEYS[1] },
  { 'SET', KEYS[1], 'a', 'PX', '1000' }, { 'GET', KEYS[1] }, { 'PEXPIRE', KEYS[1], '1000' }, { 'DEL', KEYS[1] },
}
local failed = {}
for _, try in ipairs(tries) do
  local answer = redis.pcall(unpack(try))
  if type(answer) == 'table' and answer.err then
    failed[#failed + 1] = try[1]
    failed[#failed + 1] = answer.err
  end
end
return failed
