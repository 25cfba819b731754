/**
 * Adapters as properties, for this project's decompositions and for anyone's: random layers and matrices of every kind, a plain
 * oracle, and a base class that holds a decomposition to what it claims. A project that has its own
 * {@link org.deft4j.deft.Decomposition} depends on deft4j-deft's test-jar and on jqwik, and extends
 * {@link org.deft4j.deft.testing.DecompositionProperties}.
 */
package org.deft4j.deft.testing;
