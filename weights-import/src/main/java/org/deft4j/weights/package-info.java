/** Names to tensors, from and to files. */
package org.deft4j.weights;
