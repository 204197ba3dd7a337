-- Changes the format that a hash says, if it is the expected one.
--
-- KEYS   1 the hash: a shard's :meta, or that of the ledger as a whole
-- ARGV   1 expected  2 the new one
-- Result the format before it, nil where there is none
-- Guarantee: of two that change it at once, one does.

local stored = redis.call('HGET', KEYS[1], 'format')
if stored == ARGV[1] then
  redis.call('HSET', KEYS[1], 'format', ARGV[2])
end
return stored
